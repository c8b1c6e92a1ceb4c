//! Ctrl-C and SIGTERM while a plan is carried out: the first stops cleanly, the second at once.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::error::{Exit, Failure};

/// Cancels the token at the first signal, tells so, and ends the process at the second one. Ends with the returned value.
pub fn cancel_on_signal(token: CancellationToken, tell: Arc<dyn Fn(&str) + Send + Sync>) -> Result<Watch, Failure> {
    let mut signals = Signals::new()?;
    let task = tokio::spawn(async move {
        signals.next().await;
        token.cancel();
        tell("stopping: what has begun is finished, nothing new is started; press Ctrl-C again to stop at once");
        signals.next().await;
        tell("stopped at once: what was being written may be half done; `stratos plan` shows what is");
        // The terminal is left as it is: nothing here holds anything that outlives the process.
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    Ok(Watch(task))
}

/// Watches for signals while it lives.
pub struct Watch(tokio::task::JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ctrl-C and SIGTERM.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on these signals do not end the process.
    pub fn new() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("watching for signals: {error}"));
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate()).map_err(failed)? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
