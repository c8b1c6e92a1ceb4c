//! `stratos restart`

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
  stratos restart web --env=dev     new instances of web; nothing else changes";

/// Start an app's instances anew, the way its roll-out says.
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
    let session = Session::load(&context.global)?;
    session.needs_one_environment_or(args.all, &format!("restart {}", args.app))?;
    let request = session.request_for(session.selected(), BTreeSet::from([args.app.clone()]), Policy::default());
    let plan = deploy::plan_request(&request, RequestedAction::Restart, &session.connector).await?;
    if plan.changes.is_empty() {
        let unread: Vec<String> = plan.coverage.gaps.iter().map(|gap| format!("; {}", words::gap(gap))).collect();
        let failure = Failure::new(format!(
            "nothing of the app {:?} is known to run here, so nothing was restarted{}",
            args.app.as_str(),
            unread.concat()
        ));
        return Err(failure.with_hint("`stratos apply` starts what is declared; `stratos status` shows what runs"));
    }
    let (secrets, connector) = (&session.secrets, &session.connector);
    let run = Run { plan: &plan, secrets, connector, how: &args.how, question: None };
    carry_out(run, Some(begun.elapsed()), context).await
}
