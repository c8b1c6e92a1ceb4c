//! `stratos render`

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use stratos_engine::desired::text::Text;
use stratos_engine::render::{Rendered, RenderedApp, render};

use super::Context;
use super::error::{Exit, Failure};
use super::output::Format;
use super::session::Session;

const EXAMPLES: &str = "\
Examples:
  stratos render --env=dev                     the apps of dev as they really are
  stratos render --env=dev --app=web           one of them
  stratos render --output json | jq .          for programs
Secrets appear as the expressions that they come from.";

/// Print the effective apps: variables, templates, overrides and cartridges applied.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

#[derive(Serialize)]
struct Document {
    /// First in JSON; TOML is for people and has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    environments: IndexMap<String, EnvironmentDocument>,
}

#[derive(Serialize)]
struct EnvironmentDocument {
    platform: &'static str,
    apps: IndexMap<String, Value>,
}

pub fn run(Args {}: Args, context: &Context) -> Result<Exit, Failure> {
    let session = Session::load(&context.global)?;
    session.check_apps()?;
    let mut document = Document { format: None, environments: IndexMap::new() };
    let mut reports = Vec::new();
    for name in session.environments() {
        match render(&session.manifest, name, &session.variables) {
            Ok(rendered) => {
                document.environments.insert(name.to_string(), environment(&rendered, &session)?);
            }
            Err(report) => reports.push(report),
        }
    }
    if !reports.is_empty() {
        return Err(Failure { reports, ..Failure::new("the manifest does not render") });
    }
    match context.output.format() {
        Format::Json => context.output.json(&Document { format: Some(1), ..document })?,
        Format::Text => context.output.result(&toml(&document)?),
        Format::Markdown => context.output.result(&format!("~~~~~toml\n{}\n~~~~~", toml(&document)?.trim_end())),
    }
    Ok(Exit::Success)
}

fn toml(document: &Document) -> Result<String, Failure> {
    toml::to_string_pretty(document).map_err(|error| Failure::new(format!("writing TOML: {error}")))
}

fn environment(rendered: &Rendered, session: &Session) -> Result<EnvironmentDocument, Failure> {
    let wanted = |name: &&stratos_engine::desired::name::Name| session.apps().is_empty() || session.apps().contains(*name);
    let mut apps = IndexMap::new();
    for name in rendered.apps.keys().filter(wanted) {
        apps.insert(name.to_string(), app(&rendered.apps[name])?);
    }
    Ok(EnvironmentDocument { platform: rendered.settings.platform.as_str(), apps })
}

/// An app as a manifest would say it, with the content of its files.
fn app(rendered: &RenderedApp) -> Result<Value, Failure> {
    let failed = |error: serde_json::Error| Failure::new(format!("writing an app: {error}"));
    let mut value = serde_json::to_value(&rendered.app).map_err(failed)?;
    if let (Value::Object(table), false) = (&mut value, rendered.files.is_empty()) {
        let files = rendered.files.iter().map(|(path, file)| {
            (path.clone(), serde_json::json!({ "content": file.content.to_string(), "mode": format!("{:04o}", file.mode) }))
        });
        table.insert("files".into(), Value::Object(files.collect()));
    }
    readable(&mut value);
    Ok(value)
}

/// Placeholders become the expressions that they came from. What TOML cannot say (null) goes.
fn readable(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(parsed) = Text::from_rendered(text).filter(|parsed| parsed.as_literal().is_none()) {
                *text = parsed.to_string();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(readable),
        Value::Object(table) => {
            table.retain(|_, value| !value.is_null());
            table.values_mut().for_each(readable);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratos_engine::desired::text::{Encoding, Segment};

    #[test]
    fn secrets_are_shown_as_expressions() {
        let text: Text =
            [Segment::Literal("pg://".into()), Segment::Secret { name: "db".into(), encoding: Encoding::Plain }].into_iter().collect();
        let mut value = serde_json::json!({ "env": { "DB": text, "N": null }, "command": [text] });
        readable(&mut value);
        assert_eq!(value, serde_json::json!({ "env": { "DB": "pg://{{ secrets.db }}" }, "command": ["pg://{{ secrets.db }}"] }));
    }
}
