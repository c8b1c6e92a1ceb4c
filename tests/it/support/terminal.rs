//! A terminal with a person at it, for what the program does only there.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::termios::{LocalFlags, tcgetattr};
use pty_process::blocking::{Command, Pty, open};
use vt100::Parser;

use super::{Place, eventually};

const ROWS: u16 = 50;
const COLUMNS: u16 = 160;

/// The program on a terminal.
pub struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

/// What the program wrote.
struct Seen {
    /// All of it, with what steers the terminal.
    written: Vec<u8>,
    /// What is on the screen.
    screen: Parser,
}

/// What is left when the program has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, or 128 and the number of the signal that ended it, as a shell has it.
    pub code: i32,
    /// What is on the screen.
    pub screen: String,
    /// All that was written.
    pub written: String,
    /// Whether the cursor shows.
    pub cursor: bool,
    /// Whether what is typed shows.
    pub echo: bool,
}

impl Terminal {
    /// Starts the program with these arguments and further variables.
    pub fn run(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let (pty, inner) = open().unwrap();
        pty.resize(pty_process::Size::new(ROWS, COLUMNS)).unwrap();
        let plain = place.process(arguments);
        let mut command = Command::new(plain.get_program()).args(plain.get_args()).env_clear().current_dir(place.folder());
        for (name, value) in plain.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            command = command.env(name, value);
        }
        let child = command.env("TERM", "xterm-256color").envs(variables.iter().copied()).spawn(inner).unwrap();
        let pty = Arc::new(pty);
        let screen = Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0);
        let seen = Arc::new(Mutex::new(Seen { written: vec![], screen }));
        let reader = std::thread::spawn({
            let (pty, seen) = (pty.clone(), seen.clone());
            move || read(&pty, &seen)
        });
        Self { pty, child, seen, reader }
    }

    /// What is on the screen now.
    pub fn screen(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.until(text, |screen| screen.contains(text));
    }

    /// Waits until the screen is so.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        eventually(what, || {
            let screen = self.screen();
            if is_so(&screen) { Ok(()) } else { Err(format!("on the screen is:\n{screen}")) }
        });
    }

    /// Types.
    pub fn types(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    /// Presses Ctrl-C.
    pub fn interrupts(&self) {
        self.types("\x03");
    }

    /// Gives the window another size.
    pub fn resizes(&self, rows: u16, columns: u16) {
        self.pty.resize(pty_process::Size::new(rows, columns)).unwrap();
    }

    /// Whether the terminal itself shows what is typed.
    pub fn echoes(&self) -> bool {
        tcgetattr(&*self.pty).unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        let child = &mut self.child;
        let status = eventually("the end of the program", || child.try_wait().unwrap());
        let echo = tcgetattr(&*self.pty).unwrap().local_flags.contains(LocalFlags::ECHO);
        // What it wrote last is still to be read; the end of the last one that has the terminal open ends that.
        self.reader.join().unwrap();
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap();
        let written = String::from_utf8_lossy(&seen.written).into_owned();
        Ended { code, screen: screen.contents(), written, cursor: !screen.hide_cursor(), echo }
    }
}

fn read(mut pty: &Pty, seen: &Mutex<Seen>) {
    let mut buffer = [0; 4096];
    // The kernel calls it an error when nobody has the other side open any more.
    while let Ok(count @ 1..) = pty.read(&mut buffer) {
        let written = &buffer[..count];
        let mut seen = seen.lock().unwrap();
        seen.written.extend_from_slice(written);
        seen.screen.process(written);
        // A terminal that is asked where its cursor is answers.
        if written.windows(4).any(|asked| asked == b"\x1b[6n") {
            let (row, column) = seen.screen.screen().cursor_position();
            drop(seen);
            drop(write!(pty, "\x1b[{};{}R", row + 1, column + 1));
        }
    }
}

impl Ended {
    /// The same, which must have ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.screen);
        self
    }

    /// Whether anything was written in a colour or another style.
    pub fn has_styles(&self) -> bool {
        let sequences = self.written.split("\x1b[").skip(1);
        sequences.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')).any(|rest| rest.starts_with('m'))
    }
}
