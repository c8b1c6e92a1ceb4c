//! `stratos remove`

use std::collections::BTreeSet;

use stratos_engine::deploy::{self, Policy};
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::edit;

use super::Context;
use super::edit::ManifestText;
use super::error::{Exit, Failure};
use super::session::Session;

const EXAMPLES: &str = "\
Examples:
  stratos remove app web                  the next apply deletes what runs of it
  stratos destroy --env=dev && stratos remove env dev
  stratos remove env old --abandon        whatever runs there is left running, and nobody's";

/// Take an environment or an app out of stratos.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Env(EnvArgs),
    App(AppArgs),
}

/// Take an environment out. Refused while anything of ours runs there.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct EnvArgs {
    /// The environment's name.
    #[arg(value_name = "NAME")]
    name: Name,

    /// Leave behind what runs there. The platform is not asked.
    #[arg(long)]
    abandon: bool,
}

/// Take an app out. What runs of it is deleted by the next apply.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct AppArgs {
    /// The app's name.
    #[arg(value_name = "NAME")]
    name: Name,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let manifest = ManifestText::read()?;
    match args.what {
        What::App(AppArgs { name }) => {
            manifest.edit(|text| edit::remove_app(text, &name))?;
            context.output.note(&format!("Removed the app {name}. `stratos apply` deletes what still runs of it."));
        }
        What::Env(EnvArgs { name, abandon }) => {
            if !abandon {
                refuse_while_it_holds_anything(&name, context).await?;
            }
            let session = abandon.then(|| Session::load(&context.global)).transpose()?;
            manifest.edit(|text| edit::remove_environment(text, &name))?;
            if let Some(session) = session {
                leave_behind(&session, &name)?;
            }
            context.output.note(&format!("Removed the environment {name}."));
        }
    }
    Ok(Exit::Success)
}

/// Notes that what an environment holds stays there on purpose, so that no later plan stops at it.
pub fn leave_behind(session: &Session, name: &Name) -> Result<(), Failure> {
    session.connector.abandon(&session.manifest.project, name).map_err(|error| {
        Failure::new(format!("noting that what {name} holds is left behind: {error}")).with_hint("`--abandon` again, with the next apply")
    })
}

/// An environment that is gone from the manifest is looked at by nobody: what runs there would run for ever.
async fn refuse_while_it_holds_anything(name: &Name, context: &Context) -> Result<(), Failure> {
    let session = Session::load(&context.global)?;
    if !session.manifest.environments.contains_key(name) {
        // The edit says so, and what there is.
        return Ok(());
    }
    let policy = Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() };
    let request = session.request_for(BTreeSet::from([name.clone()]), BTreeSet::new(), policy);
    let leave = "or leave behind what is there with `--abandon`";
    let plan = match deploy::plan(&request, &session.connector).await {
        Ok(plan) => plan,
        Err(error) => {
            let failure = Failure::from(error);
            let message = format!("what {name} holds could not be found out: {}", failure.message);
            return Err(Failure { message, ..failure }.with_hint(format!("make it reachable, with a build that has its platform, {leave}")));
        }
    };
    if let Some(gap) = plan.coverage.gaps.first() {
        return Err(
            Failure::new(format!("what {name} holds could not be found out: {}", gap.why)).with_hint(format!("repair that, {leave}"))
        );
    }
    let ours = plan.changes.iter().map(|change| &change.id);
    let ours: Vec<String> = ours.chain(plan.held.iter().map(|held| &held.id)).map(ToString::to_string).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let (shown, more) = (ours.iter().take(5).cloned().collect::<Vec<_>>().join(", "), ours.len().saturating_sub(5));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let failure = Failure::new(format!("the environment {name} still holds {shown}{more}; nothing was changed"));
    Err(failure.with_hint(format!("`stratos destroy --env={name} --delete-data` first, {leave}")))
}
