//! `stratos validate`

use serde::Serialize;
use stratos_engine::desired::check_native;
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::diagnostic::{Diagnostic, Report};
use stratos_engine::render::{native, render};

use super::Context;
use super::error::{Exit, Failure};
use super::output::Format;
use super::session::Session;
use crate::connect;

const EXAMPLES: &str = "\
Examples:
  stratos validate                 every problem in stratos.toml, and in what it names
  stratos validate --env=prod      only what prod is made of";

/// Check stratos.toml and everything that it includes, renders and names (compose files, charts), without talking to any platform.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

#[derive(Serialize)]
struct Document {
    format: u32,
    valid: bool,
    environments: usize,
    apps: usize,
}

pub async fn run(Args {}: Args, context: &Context) -> Result<Exit, Failure> {
    let session = Session::read(&context.global)?;
    // What an environment says of its platform and what an app renders to have nothing to do with each other: both are told.
    let settings = connect::check_all(&session.manifest).err();
    let asked = session.environments().map(|environment| check(&session, environment, settings.is_none()));
    let rendered: Vec<_> = futures::future::join_all(asked).await.into_iter().filter_map(Result::err).collect();
    let reports: Vec<_> = settings.into_iter().chain(rendered).collect();
    if !reports.is_empty() {
        return Err(Failure { reports, ..Failure::new("the manifest is not valid") });
    }
    let (environments, apps) = (session.environments().count(), session.manifest.apps.len());
    match context.output.format() {
        Format::Json => context.output.json(&Document { format: 1, valid: true, environments, apps })?,
        Format::Text | Format::Markdown => {
            let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            let what = format!("{}, {}", plural(apps, "app"), plural(environments, "environment"));
            context.output.result(&format!("stratos.toml is valid: {what}."));
        }
    }
    Ok(Exit::Success)
}

/// Everything up to what a plan would ask a platform about; without that the settings are right there is no platform to ask.
async fn check(session: &Session, environment: &Name, settings_are_right: bool) -> Result<(), Report> {
    let mut rendered = render(&session.manifest, environment, &session.variables)?;
    if !settings_are_right {
        return Ok(());
    }
    let platform = connect::unconnected(&session.manifest.project, environment, &rendered.settings)
        .map_err(|error| Report::new(rendered.sources.clone(), vec![Diagnostic::new(error.to_string(), None)]))?;
    let Some(platform) = platform else { return Ok(()) };
    native::load(&mut rendered, &session.manifest, &|part| platform.native_files(part))?;
    native::generate(&mut rendered, &*platform, &Default::default()).await?;
    check_native(&rendered, &session.manifest, &*platform)
}
