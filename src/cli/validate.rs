//! `stratos validate`

use serde::Serialize;
use stratos_engine::render;

use super::Context;
use super::error::{Exit, Failure};
use super::output::Format;
use super::session::Session;
use crate::connect;

const EXAMPLES: &str = "\
Examples:
  stratos validate                 every problem in stratos.toml, its includes and templates
  stratos validate --env=prod      only what prod is made of";

/// Check stratos.toml and everything that it includes and renders, without talking to any platform.
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

pub fn run(Args {}: Args, context: &Context) -> Result<Exit, Failure> {
    let session = Session::read(&context.global)?;
    // What an environment says of its platform and what an app renders to have nothing to do with each other: both are told.
    let platforms = connect::check_all(&session.manifest).err();
    let rendered = session.environments().map(|environment| render::render(&session.manifest, environment, &session.variables));
    let reports: Vec<_> = platforms.into_iter().chain(rendered.filter_map(Result::err)).collect();
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
