//! Running a command in a running instance: apart, so that the contract for a deployment stays small.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::PlatformError;
use crate::desired::resource::ResourceId;

/// Runs commands in instances.
#[async_trait]
pub trait Exec: Send + Sync {
    /// Starts a command in an instance of a resource. Dropping the stream lets go of the command; whether it then ends is
    /// the platform's to say.
    ///
    /// # Errors
    /// Where there is no such instance, or none that can be reached this way; the hint says which can.
    async fn exec(&self, of: &ResourceId, request: ExecRequest) -> Result<ExecEvents, PlatformError>;
}

/// What happens in the order in which it happens: at last [`ExecEvent::Ended`], or an error.
pub type ExecEvents = BoxStream<'static, Result<ExecEvent, PlatformError>>;

/// What is run, and where.
pub struct ExecRequest {
    /// The program and its arguments. No shell is put around them.
    pub command: Vec<String>,
    /// The instance, as the logs name it; any that runs where it is None.
    pub instance: Option<String>,
    /// Give it a terminal of this size. It then has one output instead of two.
    pub terminal: Option<TerminalSize>,
    /// What it reads, until the stream ends. None gives it no input at all.
    pub input: Option<BoxStream<'static, ExecInput>>,
}

/// What a running command is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    /// Bytes for its standard input. On a terminal, 3 is Ctrl-C.
    Bytes(Vec<u8>),
    /// Its terminal has another size now.
    Resize(TerminalSize),
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEvent {
    /// It runs in this instance.
    Started {
        /// The instance, as the logs name it.
        instance: String,
    },
    /// Bytes of its standard output, or of its terminal.
    Output(Vec<u8>),
    /// Bytes of its standard error.
    Error(Vec<u8>),
    /// It ended. Nothing follows.
    Ended {
        /// Its exit code.
        code: i64,
    },
}
