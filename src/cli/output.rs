//! The only place that prints.
//!
//! What was asked for goes to standard output, what is said about it to standard error. Text may hold ANSI styles: they
//! are taken out where the stream is no terminal, or the user does not want them. A reader that goes away (`| head`) is
//! no failure: the run goes on in silence, since half an apply is worse than unread lines.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::error::Failure;

/// How often it is asked whether somebody still reads: soon enough for whoever waits for a shell's prompt.
const ASK_FOR_THE_READER: Duration = Duration::from_millis(250);

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document with a `format` version.
    Json,
    /// For a comment on a pull request.
    Markdown,
}

/// Whether colours are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// Where the program's words go.
#[derive(Debug)]
pub struct Output {
    format: Format,
    color: Color,
    quiet: bool,
    /// Nobody reads standard output any more.
    closed: AtomicBool,
    /// The first failure to write that is no closed pipe: a full disk.
    broken: Mutex<Option<io::Error>>,
}

impl Output {
    /// An output with the user's wishes.
    pub fn new(format: Format, color: Color, quiet: bool) -> Self {
        Self { format, color, quiet, closed: AtomicBool::new(false), broken: Mutex::new(None) }
    }

    /// How results are written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the user asked for nothing but results and errors.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether standard error is a terminal that can show progress.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether somebody can be asked: both what is asked and what is answered need a terminal.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether errors may hold colours.
    pub fn colors_errors(&self) -> bool {
        choice(self.color, &io::stderr()) != ColorChoice::Never
    }

    /// Whether somebody still reads standard output. What goes on for ever asks it.
    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    /// Waits until nobody reads standard output any more. What waits for news that may never come (`logs --follow | head`)
    /// would not notice by writing.
    pub async fn reader_gone(&self) {
        let mut again = tokio::time::interval(ASK_FOR_THE_READER);
        while self.is_open() && !is_abandoned(io::stdout().as_fd()) {
            again.tick().await;
        }
    }

    /// Prints what was asked for, and a line end where it has none.
    pub fn result(&self, text: &str) {
        let stdout = io::stdout();
        let choice = choice(self.color, &stdout);
        let written = write(&mut AutoStream::new(stdout.lock(), choice), text);
        self.remember(written);
    }

    /// Prints what was asked for as JSON. The value's own first field should be its `format` version.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(format!("writing JSON: {error}")))?;
        self.result(&text);
        Ok(())
    }

    /// Passes on what a command in an instance writes to its standard output, as it is.
    pub fn pass_on(&self, bytes: &[u8]) {
        let mut stdout = io::stdout();
        self.remember(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// The same for its standard error.
    pub fn pass_on_error(&self, bytes: &[u8]) {
        let _ = io::stderr().write_all(bytes);
    }

    /// Whether a terminal is at both ends: what is typed comes from one, and what is shown goes to one.
    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Says something about what is going on, unless the user wants quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Says what went wrong.
    pub fn error(&self, text: &str) {
        let stderr = io::stderr();
        let choice = choice(self.color, &stderr);
        // Nobody is left to be told when standard error cannot be written.
        let _ = write(&mut AutoStream::new(stderr.lock(), choice), text);
    }

    /// Clears a terminal's screen before something that is shown again and again; elsewhere nothing.
    pub fn clear_screen(&self) {
        if io::stdout().is_terminal() {
            self.remember(write!(io::stdout(), "\x1b[H\x1b[2J\x1b[3J"));
        }
    }

    /// What could not be written, once everything is.
    pub fn finish(&self) -> Result<(), Failure> {
        self.remember(io::stdout().flush());
        let broken = self.broken.lock().unwrap_or_else(|e| e.into_inner()).take();
        broken.map_or(Ok(()), |error| Err(Failure::new(format!("writing to standard output: {error}"))))
    }

    fn remember(&self, written: io::Result<()>) {
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed.store(true, Ordering::Relaxed),
            Err(error) => {
                self.closed.store(true, Ordering::Relaxed);
                self.broken.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(error);
            }
        }
    }
}

/// Whether the other end of a pipe or a terminal is gone.
fn is_abandoned(stream: BorrowedFd<'_>) -> bool {
    // Errors and hang-ups are told without being asked for.
    let mut polled = [PollFd::new(stream, PollFlags::empty())];
    let answered = poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    answered && polled[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP))
}

fn write(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stream.write_all(b"\n")?;
    }
    stream.flush()
}

fn choice<S: IsTerminal>(color: Color, stream: &S) -> ColorChoice {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match color {
        Color::Always => ColorChoice::AlwaysAnsi,
        Color::Never => ColorChoice::Never,
        Color::Auto if stream.is_terminal() && !set("NO_COLOR") && !dumb() => ColorChoice::AlwaysAnsi,
        Color::Auto => ColorChoice::Never,
    }
}
