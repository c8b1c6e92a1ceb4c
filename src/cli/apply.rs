//! `stratos apply`

use std::path::PathBuf;
use std::time::Instant;

use stratos_engine::deploy::{self, Connector as _};

use super::carry_out::{How, Run, carry_out};
use super::error::{Exit, Failure};
use super::policy::PolicyArgs;
use super::remove::leave_behind;
use super::session::{Session, base_folder, connector};
use super::{Context, plan_file, secrets};

const EXAMPLES: &str = "\
Examples:
  stratos apply                     plans, shows the plan, asks, and does it
  stratos apply --env=dev --yes     one environment, without asking
  stratos apply --all --yes         all environments, in their order
  stratos apply plan.json           exactly the plan that was saved, or nothing
  stratos apply --app=web           one app; nothing else is touched or pruned
  stratos apply --force-conflicts   takes over fields that somebody else has set

Ctrl-C stops cleanly: what has begun is finished and reported, nothing new is started.
Running it again goes on from there.";

/// Make it so: plan, ask, carry out exactly that plan, and wait until everything is healthy.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A plan that `stratos plan --out` saved. It is applied as it is, or refused where things have moved.
    #[arg(value_name = "PLANFILE", conflicts_with_all = ["all", "allow_delete", "delete_data", "adopt", "force_conflicts", "allow_older", "abandon", "refresh_images"])]
    plan: Option<PathBuf>,

    /// All environments, where the manifest has several.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    policy: PolicyArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(path) = &args.plan {
        return saved(path, &args, context).await;
    }
    let begun = Instant::now();
    let session = Session::load(&context.global)?;
    session.needs_one_environment_or(args.all, "apply")?;
    let request = args.policy.complete(session.request(args.policy.policy(false)));
    let plan = deploy::plan(&request, &session.connector).await?;
    let run =
        Run { plan: &plan, secrets: &session.secrets, connector: &session.connector, how: &args.how, question: Some("Apply this plan?") };
    let exit = carry_out(run, Some(begun.elapsed()), context).await?;
    if request.policy.abandon && context.global.environments.is_empty() {
        for (name, _) in session.connector.left_behind(&session.manifest).await {
            leave_behind(&session, &name)?;
        }
    }
    Ok(exit)
}

/// Applies a saved plan: it holds all that is needed but the values of secrets, which are read again.
async fn saved(path: &std::path::Path, args: &Args, context: &Context) -> Result<Exit, Failure> {
    let global = &context.global;
    if !(global.environments.is_empty() && global.apps.is_empty() && global.variables.is_empty() && global.variable_files.is_empty()) {
        let failure = Failure::usage("a saved plan is applied as it is: --env, --app, --var and --var-file have no place here");
        return Err(failure.with_hint("give them to `stratos plan --out`"));
    }
    let plan = plan_file::read(path)?;
    let folder = base_folder();
    let secrets = secrets::read(&plan.based_on.secrets, &folder);
    let connector = connector(&folder);
    let run = Run { plan: &plan, secrets: &secrets, connector: &connector, how: &args.how, question: Some("Apply this saved plan?") };
    carry_out(run, None, context).await
}
