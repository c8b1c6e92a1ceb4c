//! `stratos supervise`, hidden: the supervisor of one environment of the platform `local`.

use std::ffi::OsString;

use super::Context;
use super::error::{Exit, Failure};

/// Run the supervisor of a local environment. Started by `stratos apply`; not for people.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the platform `local` asks for.
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The supervisor brings its own runtime: it outlives the command that starts it.
pub fn run(args: Args, _context: &Context) -> Result<Exit, Failure> {
    crate::connect::supervise(&args.arguments).map_err(|error| Failure::new(format!("supervising: {error}")))?;
    Ok(Exit::Success)
}
