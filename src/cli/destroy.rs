//! `stratos destroy`

use std::time::Instant;

use stratos_engine::deploy::{self, Policy};

use super::Context;
use super::carry_out::{How, Run, carry_out};
use super::error::{Exit, Failure};
use super::session::Session;

const EXAMPLES: &str = "\
Examples:
  stratos destroy --env=dev                  removes everything of ours in dev; asks before
  stratos destroy --env=dev --delete-data    its volumes too, with the data in them
  stratos destroy --env=dev --app=web        one app
  stratos plan --destroy                     only shows what would go";

/// Remove everything that this project runs in an environment. Volumes stay unless you say `--delete-data`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// All environments, where the manifest has several.
    #[arg(long)]
    all: bool,

    /// Delete volumes too, with the data in them.
    #[arg(long)]
    delete_data: bool,

    #[command(flatten)]
    how: How,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let session = Session::load(&context.global)?;
    session.needs_one_environment_or(args.all, "destroy")?;
    let policy = Policy { destroy: true, allow_delete: true, delete_data: args.delete_data, ..Policy::default() };
    let plan = deploy::plan(&session.request(policy), &session.connector).await?;
    let run = Run {
        plan: &plan,
        secrets: &session.secrets,
        connector: &session.connector,
        how: &args.how,
        question: Some("Delete all of this?"),
    };
    carry_out(run, Some(begun.elapsed()), context).await
}
