//! Asking the user, where somebody can be asked.

use inquire::InquireError;

use super::error::{Exit, Failure};
use super::output::Output;

/// Asks whether to go on. Where nobody can be asked the answer has to be on the command line.
pub fn confirm(output: &Output, question: &str) -> Result<(), Failure> {
    if !output.can_ask() {
        let failure = Failure::usage(format!("{question} Nobody can be asked here"));
        return Err(failure.with_hint("the same command with `--yes` does it without a question"));
    }
    match answer(inquire::Confirm::new(question).with_default(false).prompt())? {
        true => Ok(()),
        false => Err(Failure { exit: Exit::Error, ..Failure::new("not confirmed; nothing was changed") }),
    }
}

/// What a prompt returned: Ctrl-C and Escape stop the command.
pub fn answer<T>(prompted: Result<T, InquireError>) -> Result<T, Failure> {
    prompted.map_err(|error| match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Failure::interrupted(),
        other => Failure::new(format!("asking: {other}")).with_hint("`--yes` answers beforehand"),
    })
}
