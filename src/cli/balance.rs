//! `stratos balance`, hidden: a balancer by itself, as platforms run it in a container.

use std::path::PathBuf;

use super::Context;
use super::error::{Exit, Failure};

/// Run a TCP balancer. Started by platforms in a container; not for people.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file that says what it does: read at the start, and again on SIGHUP.
    #[arg(value_name = "CONFIGURATION")]
    configuration: PathBuf,
}

/// The balancer brings its own runtime, and says itself when it is ready.
pub fn run(args: Args, _context: &Context) -> Result<Exit, Failure> {
    stratos_balancer::run(&args.configuration).map_err(|error| Failure::new(format!("balancing: {error}")))?;
    Ok(Exit::Success)
}
