//! `stratos forget`

use std::collections::BTreeSet;
use std::time::Instant;

use stratos_engine::deploy::{self, Policy, RequestedAction};
use stratos_engine::desired::name::Name;

use super::carry_out::{How, Run, carry_out};
use super::error::{Exit, Failure};
use super::session::Session;
use super::{Context, words};

const EXAMPLES: &str = "\
Examples:
  stratos forget web --env=prod     web keeps running and is not ours any more
Take the app out of stratos.toml too: the next apply would report its name as taken,
and `--adopt` would take it back.";

/// Let an app run on without us: our marks are taken off it, and nothing else happens to it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The app.
    #[arg(value_name = "APP")]
    app: Name,

    /// All environments, where the manifest has several.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    how: How,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let app = &args.app;
    let session = Session::load(&context.global)?;
    session.needs_one_environment_or(args.all, &format!("forget {app}"))?;
    let request = session.request_for(session.selected(), BTreeSet::from([app.clone()]), Policy::default());
    let plan = deploy::plan_request(&request, RequestedAction::Forget, &session.connector).await?;
    if let Some(gap) = plan.coverage.gaps.first().filter(|_| plan.changes.is_empty()) {
        return Err(Failure::new(format!("nothing of the app {:?} was forgotten; {}", app.as_str(), words::gap(gap))));
    }
    let run = Run {
        plan: &plan,
        secrets: &session.secrets,
        connector: &session.connector,
        how: &args.how,
        question: Some("Take our marks off all of this?"),
    };
    carry_out(run, Some(begun.elapsed()), context).await
}
