//! `stratos deploy`

use std::collections::BTreeSet;
use std::time::Instant;

use stratos_engine::deploy;
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::edit;
use stratos_engine::plan::Plan;
use stratos_engine::plan::change::Action;

use super::Context;
use super::add::{cartridge_of, missing_parameters};
use super::carry_out::{How, Run, carry_out};
use super::edit::ManifestText;
use super::error::{Exit, Failure};
use super::policy::PolicyArgs;
use super::session::Session;

const EXAMPLES: &str = "\
Examples:
  stratos deploy hello --env=dev       adds hello from the cartridge of that name, and applies it
  stratos deploy web --env=prod        plans and applies web alone
  stratos deploy web --force-conflicts takes over fields that others have set
It asks only before something is deleted or replaced.";

/// Plan and apply one app; where the manifest does not have it, add it from the cartridge of its name.
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

    #[command(flatten)]
    policy: PolicyArgs,
}

/// Refuses a cartridge that cannot do without parameters, before the manifest has an app that cannot be planned.
fn refuse_missing(cartridge: &str) -> Result<(), Failure> {
    let missing = missing_parameters(cartridge, &[]);
    let Some((first, _)) = missing.first() else { return Ok(()) };
    let list: Vec<String> = missing.iter().map(|(name, description)| format!("`{name}` ({description})")).collect();
    Err(Failure::usage(format!("the cartridge {cartridge} needs values for {}", list.join(", ")))
        .with_hint(format!("add it with them first, such as: stratos add app {cartridge} --parameter '{first}=…'")))
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let app = &args.app;
    let session = Session::load(&context.global)?;
    let command = format!("deploy {app}");
    session.needs_one_environment_or(args.all, &command)?;
    let (session, plan) = match session.manifest.apps.contains_key(app) {
        true => planned(session, &args).await?,
        false => added(&args, context).await?,
    };
    let hurts = plan.changes.iter().any(|change| matches!(change.action, Action::Delete | Action::Replace(_)));
    let (secrets, connector) = (&session.secrets, &session.connector);
    let question = hurts.then_some("Something is deleted or replaced. Apply this plan?");
    carry_out(Run { plan: &plan, secrets, connector, how: &args.how, question }, Some(begun.elapsed()), context).await
}

/// The plan for an app that the manifest does not have so far. An app that cannot be planned would stand in the way of all
/// others, so it does not stay.
async fn added(args: &Args, context: &Context) -> Result<(Session, Plan), Failure> {
    let app = &args.app;
    let cartridge = cartridge_of(app)?;
    refuse_missing(&cartridge)?;
    let text = ManifestText::read()?;
    text.edit(|text| edit::add_app(text, app, &[(vec!["cartridge"], cartridge.as_str().into())]))?;
    let tried = async { planned(Session::load(&context.global)?, args).await };
    match tried.await {
        Ok(done) => {
            context.output.note(&format!("Added the app {app} from the cartridge {cartridge} to stratos.toml."));
            Ok(done)
        }
        Err(failure) => {
            text.restore()?;
            context.output.note(&format!(
                "The cartridge {cartridge} does not work here as it is; stratos.toml is as it was.\n\
                 `stratos add app {app}` adds it all the same, to be completed by hand.\n"
            ));
            Err(failure)
        }
    }
}

/// What would change for this app alone.
async fn planned(session: Session, args: &Args) -> Result<(Session, Plan), Failure> {
    let app = &args.app;
    for environment in session.environments() {
        if !session.manifest.apps_of(environment).any(|(name, _)| name == app) {
            return Err(Failure::new(format!("the app {app} does not go to the environment {environment}"))
                .with_hint(format!("add it to `environments` of [apps.{app}]")));
        }
    }
    let request = session.request_for(session.selected(), BTreeSet::from([app.clone()]), args.policy.policy(false));
    let plan = deploy::plan(&args.policy.complete(request), &session.connector).await?;
    Ok((session, plan))
}
