//! The command line: one file per command, and what they share.
//!
//! A command takes its arguments and a `Context`, makes one call to the engine and prints what came of it.

pub mod output;

mod add;
mod apply;
mod apply_text;
mod ask;
mod balance;
mod carry_out;
mod check;
mod completions;
mod deploy;
mod destroy;
mod diagnostic;
mod edit;
mod error;
mod exec;
mod forget;
mod global;
mod hello;
mod help;
mod init;
mod list;
mod logs;
mod plan;
mod plan_file;
pub mod plan_markdown;
pub mod plan_text;
mod policy;
mod progress;
mod remove;
mod render;
mod restart;
mod rows;
mod schema;
mod secrets;
mod session;
mod show;
mod signals;
mod status;
mod supervise;
mod validate;
mod words;

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::ErrorKind;

pub use error::{Exit, Failure};
use global::Global;
use output::{Format, Output};

const AFTER_HELP: &str = "\
Start here:
  stratos init          writes a small stratos.toml
  stratos plan          shows what would change, and changes nothing
  stratos apply         shows it, asks, and does it

Exit codes:
    0  done, or nothing to do
    1  an error
    2  there are changes (plan --detailed-exitcode)
    3  stale: what is live moved since the plan was made
    4  partial: some of it is done, and some is not
    5  unhealthy: everything is written, and something does not work
    6  refused: the platform would refuse something that is declared; the rest is done
   64  the command line was not understood
  130  stopped by Ctrl-C

Environment variables:
  STRATOS_VAR_<NAME>   the value of a variable; stronger than --var-file, weaker than --var
  STRATOS_STATE_DIR    where the platform `local` keeps its environments
                       (default: $XDG_STATE_HOME/stratos or ~/.local/state/stratos)
  STRATOS_INSECURE_REGISTRIES
                       image registries without TLS: host:port, with commas between them
  STRATOS_LOG          what is logged to standard error, such as `debug` or `stratos_engine=trace`
  NO_COLOR             no colours, when set";

/// One simple workflow over all platforms: a manifest, a plan, an apply.
///
/// What should run is described once, in stratos.toml. Stratos compares it with what each environment really holds, shows
/// the difference as a plan, and carries out exactly that plan.
#[derive(Debug, clap::Parser)]
#[command(name = "stratos", version, after_help = AFTER_HELP, propagate_version = false, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Init(init::Args),
    Validate(validate::Args),
    Render(render::Args),
    Check(check::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Deploy(deploy::Args),
    Destroy(destroy::Args),
    Status(status::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Restart(restart::Args),
    Forget(forget::Args),
    Add(add::Args),
    Remove(remove::Args),
    List(list::Args),
    Show(show::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Hello(hello::Args),
    Help(help::Args),
    #[command(hide = true)]
    Supervise(supervise::Args),
    #[command(hide = true)]
    Balance(balance::Args),
}

/// What every command gets beside its own arguments.
struct Context {
    global: Global,
    output: Output,
}

/// Parses, runs, prints, and says how it ended.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = Output::new(cli.global.output, cli.global.color, cli.global.quiet);
    let context = Context { global: cli.global, output };
    let result = context.global.prepare().and_then(|()| run(cli.command, &context)).and_then(|exit| context.output.finish().map(|()| exit));
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            failure.print(&context.output);
            failure.exit
        }
    }
}

fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Validate(args) => wait(validate::run(args, context)),
        Command::Render(args) => render::run(args, context),
        Command::Check(args) => wait(check::run(args, context)),
        Command::Plan(args) => wait(plan::run(args, context)),
        Command::Apply(args) => wait(apply::run(args, context)),
        Command::Deploy(args) => wait(deploy::run(args, context)),
        Command::Destroy(args) => wait(destroy::run(args, context)),
        Command::Status(args) => wait(status::run(args, context)),
        Command::Logs(args) => wait(logs::run(args, context)),
        Command::Exec(args) => wait(exec::run(args, context)),
        Command::Restart(args) => wait(restart::run(args, context)),
        Command::Forget(args) => wait(forget::run(args, context)),
        Command::Add(args) => add::run(args, context),
        Command::Remove(args) => wait(remove::run(args, context)),
        Command::List(args) => list::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Schema(args) => schema::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Hello(args) => wait(hello::run(args, context)),
        Command::Help(args) => help::run(args, context),
        Command::Supervise(args) => supervise::run(args, context),
        Command::Balance(args) => balance::run(args, context),
    }
}

/// Runs a command that talks to platforms. One thread is enough: it waits far more than it computes.
fn wait(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("starting the asynchronous runtime: {error}")))?;
    let result = runtime.block_on(command);
    // A prompt or a file read that is still going on must not keep the program from ending.
    runtime.shutdown_background();
    result
}

/// Help and version are successes; everything else that clap says is about the command line.
fn usage(error: &clap::Error) -> Exit {
    let output = Output::new(Format::Text, output::Color::Auto, false);
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.result(&text.ansi().to_string());
            output.finish().map_or(Exit::Error, |()| Exit::Success)
        }
        _ => {
            output.error(&text.ansi().to_string());
            Exit::Usage
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    /// Every command with its path, such as `add env`.
    fn commands(command: &clap::Command, path: &str, out: &mut Vec<(String, clap::Command)>) {
        out.push((path.to_owned(), command.clone()));
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            commands(inner, format!("{path} {}", inner.get_name()).trim(), out);
        }
    }

    fn all() -> Vec<(String, clap::Command)> {
        let mut root = super::Cli::command().term_width(100);
        root.build();
        let mut out = Vec::new();
        commands(&root, "stratos", &mut out);
        out
    }

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_sentence_and_examples() {
        for (path, command) in all() {
            assert!(command.get_about().is_some(), "{path} does not say what it does");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("stratos "), "{path} has no examples");
            let wide = after.lines().find(|line| line.chars().count() > 98);
            assert_eq!(wide, None, "{path}: an example that is broken into two lines cannot be copied");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path}: {} does not say what it does", argument.get_id());
            }
        }
    }

    #[test]
    fn help() {
        for (path, command) in all() {
            let text = command.term_width(100).render_long_help().to_string();
            insta::assert_snapshot!(path.replace(' ', "_"), text);
        }
    }
}
