use super::{
    Context,
    error::{Exit, Failure},
};
#[derive(Debug, clap::Args)]
pub struct Args {}
pub fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Ok(Exit::Success)
}
