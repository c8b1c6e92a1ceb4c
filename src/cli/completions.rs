//! `stratos completions`

use clap::CommandFactory as _;

use super::Context;
use super::error::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  stratos completions bash > ~/.local/share/bash-completion/completions/stratos
  stratos completions zsh > ~/.zfunc/_stratos
  stratos completions fish > ~/.config/fish/completions/stratos.fish";

/// Print a script that completes commands and options in your shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "stratos", &mut script);
    context.output.result(&String::from_utf8_lossy(&script));
    Ok(Exit::Success)
}
