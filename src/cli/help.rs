//! `stratos help`

use clap::CommandFactory as _;

use super::error::{Exit, Failure};
use super::{Cli, Context};

const EXAMPLES: &str = "\
Examples:
  stratos help              all commands, exit codes and environment variables
  stratos help plan         what `stratos plan --help` prints
  stratos help add app      one command of several words";

/// Print what a command does, its options and examples; without a name, the list of commands.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The command.
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for word in &args.command {
        let names: Vec<String> =
            command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(|inner| inner.get_name().to_owned()).collect();
        let of = command.get_bin_name().unwrap_or("stratos").to_owned();
        command = match command.find_subcommand_mut(word) {
            Some(inner) => inner,
            None if names.is_empty() => return Err(Failure::usage(format!("`{of}` has no commands of its own, so no `{word}`"))),
            None => {
                return Err(Failure::usage(format!("`{of}` has no command `{word}`")).with_hint(format!("it has: {}", names.join(", "))));
            }
        };
    }
    context.output.result(&command.render_long_help().ansi().to_string());
    Ok(Exit::Success)
}
