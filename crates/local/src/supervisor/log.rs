//! Log files, bounded in size and number. In those of instances one line of output is one line, with the time in front.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::folder::create_private;
use crate::protocol::WireLine;

/// A file that has grown to this is set aside.
const FILE_SIZE: u64 = 8 * 1024 * 1024;

/// How many files are kept of an instance, with the one that is written.
const FILES: u32 = 3;

/// How many instances' logs are kept of a workload: the newest.
const INSTANCES: usize = 20;

/// How many lines are kept at hand, for messages.
const RECENT: usize = 10;

/// A line is cut here: it is memory, and a message.
const LINE: usize = 8 * 1024;

/// The log of one instance.
pub(crate) struct InstanceLog {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    limit: u64,
    partial: Vec<u8>,
    recent: VecDeque<String>,
}

impl InstanceLog {
    /// Opens the log of an instance, and removes those of instances long gone.
    pub fn open(folder: &Path, serial: u64) -> io::Result<Self> {
        create_private(folder)?;
        let serials = serials(folder)?;
        for old in serials.iter().rev().skip(INSTANCES.saturating_sub(1)) {
            (0..FILES).for_each(|age| drop(fs::remove_file(file_name(folder, *old, age))));
        }
        Self::with_limit(folder, serial, FILE_SIZE)
    }

    fn with_limit(folder: &Path, serial: u64, limit: u64) -> io::Result<Self> {
        let path = file_name(folder, serial, 0);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file: Some(file), size, limit, partial: vec![], recent: VecDeque::new() })
    }

    /// Takes output as it comes, and returns the lines that it completes.
    pub fn write(&mut self, output: &[u8]) -> Vec<String> {
        let mut lines = vec![];
        for piece in output.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= LINE {
                lines.push(self.complete());
            }
        }
        lines
    }

    /// The last line, where it did not end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.partial.is_empty()).then(|| self.complete())
    }

    fn complete(&mut self) -> String {
        let bytes = std::mem::take(&mut self.partial);
        let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        self.append(&line);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(line.clone());
        line
    }

    fn append(&mut self, line: &str) {
        let text = format!("{} {line}\n", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ"));
        if self.size + text.len() as u64 > self.limit {
            self.rotate();
        }
        // A full disk must not stop what runs: the line is still among the recent ones.
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(text.as_bytes())
        {
            tracing::warn!(path = %self.path.display(), %error, "a log line was lost");
        }
        self.size += text.len() as u64;
    }

    fn rotate(&mut self) {
        self.file = set_aside(&self.path).ok();
        self.size = 0;
    }

    /// The newest lines, oldest first.
    pub fn recent(&self) -> Vec<String> {
        self.recent.iter().cloned().collect()
    }
}

/// Keeps the supervisor's own log, which is its standard output and error, within the same bounds. One that somebody
/// removed is begun anew.
pub(crate) fn bound(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() <= FILE_SIZE => return Ok(()),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = set_aside(path)?;
    nix::unistd::dup2_stdout(&file)?;
    nix::unistd::dup2_stderr(&file)?;
    Ok(())
}

/// The files of a log, the one that is written first.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    (0..FILES).map(|age| path.with_extension(extension(age))).collect()
}

/// Sets the file of a log aside, with the older ones, and begins a new one.
fn set_aside(path: &Path) -> io::Result<File> {
    for age in (0..FILES - 1).rev() {
        drop(fs::rename(path.with_extension(extension(age)), path.with_extension(extension(age + 1))));
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn extension(age: u32) -> String {
    if age == 0 { "log".into() } else { format!("log.{age}") }
}

fn file_name(folder: &Path, serial: u64, age: u32) -> PathBuf {
    folder.join(format!("{serial}.{}", extension(age)))
}

/// The serial numbers of the instances that have a log, sorted.
pub(crate) fn serials(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(e),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut serials: Vec<u64> = names.filter_map(|name| name.split('.').next()?.parse().ok()).collect();
    serials.sort_unstable();
    serials.dedup();
    Ok(serials)
}

/// The lines of these instances (all that have a log, where None), in the order of their times.
pub(crate) fn history(folder: &Path, workload: &str, of: Option<&[u64]>, tail: Option<usize>) -> io::Result<Vec<WireLine>> {
    let mut lines: Vec<(String, WireLine)> = vec![];
    for serial in serials(folder)?.into_iter().filter(|serial| of.is_none_or(|of| of.contains(serial))) {
        let texts: Vec<Vec<u8>> = (0..FILES).rev().filter_map(|age| fs::read(file_name(folder, serial, age)).ok()).collect();
        let text = texts.concat();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        let newest = tail.map_or(0, |tail| all.len().saturating_sub(tail));
        lines.extend(all[newest..].iter().map(|line| {
            let (time, line) = line.split_once(' ').unwrap_or(("", line));
            (time.to_owned(), WireLine { instance: format!("{workload}-{serial}"), line: line.to_owned() })
        }));
    }
    // Stable, so that lines of one instance keep their order also where their times are the same.
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Vec<WireLine>) -> Vec<String> {
        lines.into_iter().map(|l| format!("{}: {}", l.instance, l.line)).collect()
    }

    #[test]
    fn lines_are_read_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = InstanceLog::open(folder.path(), 1).unwrap();
        let mut two = InstanceLog::open(folder.path(), 2).unwrap();
        assert_eq!(one.write(b"a\nb"), ["a"]);
        assert_eq!(two.write(b"x\n"), ["x"]);
        assert_eq!(one.write(b"c\r\nrest"), ["bc"]);
        assert_eq!(one.finish().as_deref(), Some("rest"));
        assert_eq!(one.recent(), ["a", "bc", "rest"]);
        let history = |of: Option<&[u64]>, tail| texts(super::history(folder.path(), "web", of, tail).unwrap());
        assert_eq!(history(None, None), ["web-1: a", "web-2: x", "web-1: bc", "web-1: rest"]);
        assert_eq!(history(Some(&[1]), Some(1)), ["web-1: rest"]);
    }

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = InstanceLog::with_limit(folder.path(), 1, 1000).unwrap();
        for i in 0..200 {
            log.write(format!("line {i}\n").as_bytes());
        }
        let sizes: Vec<u64> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 3);
        assert!(sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
        let lines = texts(history(folder.path(), "web", None, None).unwrap());
        assert_eq!(lines.last().map(String::as_str), Some("web-1: line 199"));
    }

    #[test]
    fn logs_of_instances_long_gone_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for serial in 1..=30 {
            InstanceLog::open(folder.path(), serial).unwrap().write(b"x\n");
        }
        let kept = serials(folder.path()).unwrap();
        assert_eq!((kept.len(), kept[0]), (INSTANCES, 11));
    }
}
