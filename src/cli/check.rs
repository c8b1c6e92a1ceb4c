//! `stratos check`

use std::collections::BTreeMap;

use comfy_table::{Cell, Color, Table, presets};
use serde::Serialize;
use stratos_engine::deploy::Connector as _;
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::schema::App;
use stratos_engine::platform::{Field, Support};
use stratos_engine::render::{Rendered, native, render};

use super::Context;
use super::error::{Exit, Failure};
use super::output::Format;
use super::session::Session;
use crate::connect::{self, BUILT};

const EXAMPLES: &str = "\
Examples:
  stratos check                  every app in every environment
  stratos check --app=web        one app
  stratos check --output json    for programs
What is unsupported is an error at plan time, unless the app says allow_degraded = [\"field\"].";

/// Show what of this manifest each environment honours: a matrix of app and field by environment.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

/// What an environment makes of a field that an app uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Verdict {
    word: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// The matrix.
#[derive(Serialize)]
struct Document {
    format: u32,
    /// App, field, environment.
    apps: BTreeMap<Name, BTreeMap<&'static str, BTreeMap<Name, Verdict>>>,
    /// What is true of an environment as a whole: sentences.
    notes: Vec<String>,
}

pub async fn run(Args {}: Args, context: &Context) -> Result<Exit, Failure> {
    let session = Session::load(&context.global)?;
    session.check_apps()?;
    let mut document = Document { format: 1, apps: BTreeMap::new(), notes: Vec::new() };
    let mut reports = Vec::new();
    let environments: Vec<Name> = session.environments().cloned().collect();
    for name in &environments {
        match render(&session.manifest, name, &session.variables) {
            Ok(rendered) => document.add(&session, rendered).await?,
            Err(report) => reports.push(report),
        }
    }
    if !reports.is_empty() {
        return Err(Failure { reports, ..Failure::new("the manifest does not render") });
    }
    match context.output.format() {
        Format::Json => context.output.json(&document)?,
        Format::Text => context.output.result(&text(&document, &environments, true)),
        Format::Markdown => context.output.result(&text(&document, &environments, false)),
    }
    let unsupported = document.apps.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values).any(|v| v.word == "unsupported");
    Ok(if unsupported { Exit::Error } else { Exit::Success })
}

impl Document {
    /// Adds what one environment makes of the apps that go there. Connecting reads and writes nothing of ours.
    async fn add(&mut self, session: &Session, mut rendered: Rendered) -> Result<(), Failure> {
        let platform = match BUILT.contains(&rendered.settings.platform) {
            true => Some(session.connector.connect(&session.manifest.project, &rendered.environment, &rendered.settings).await?),
            false => {
                let (environment, platform) = (&rendered.environment, rendered.settings.platform);
                self.notes.push(format!("{environment}: this build does not have the platform {platform} yet"));
                None
            }
        };
        if let Some(platform) = &platform {
            native::load(&mut rendered, &session.manifest, &|part| platform.native_files(part))?;
        }
        let Rendered { environment, settings, apps, sources: _ } = rendered;
        let mut holds_secret = false;
        for (name, rendered) in apps {
            if !session.apps().is_empty() && !session.apps().contains(&name) {
                continue;
            }
            holds_secret |= !rendered.secrets_used().is_empty();
            let app = rendered.app;
            let fields = self.apps.entry(name).or_default();
            for field in Field::ALL.iter().copied().filter(|field| field.is_used_by(&app)) {
                let support = platform.as_ref().map(|platform| platform.support(field));
                fields.entry(field.as_str()).or_default().insert(environment.clone(), verdict(support, field, &app));
            }
        }
        if let Some(why) = connect::secrets_readable(settings.platform).filter(|_| holds_secret) {
            self.notes.push(format!("{environment}: secrets are readable there: {why}"));
        }
        Ok(())
    }
}

fn verdict(support: Option<Support>, field: Field, app: &App) -> Verdict {
    match support {
        None => Verdict { word: "?", note: None },
        Some(Support::Full) => Verdict { word: "honoured", note: None },
        Some(Support::Adapted(how)) => Verdict { word: "adapted", note: Some(how) },
        Some(Support::Ignored(why)) => Verdict { word: "ignored", note: Some(why) },
        Some(Support::Unsupported(why)) if app.allow_degraded.iter().any(|allowed| allowed == field.as_str()) => {
            Verdict { word: "allowed", note: Some(why) }
        }
        Some(Support::Unsupported(why)) => Verdict { word: "unsupported", note: Some(why) },
    }
}

/// The table, and below it what the words stand for, each note once.
fn text(document: &Document, environments: &[Name], boxed: bool) -> String {
    let mut table = Table::new();
    // The output takes colours out again where they are not wanted.
    table.load_style(if boxed { presets::UTF8_FULL_CONDENSED } else { presets::ASCII_MARKDOWN }).enforce_styling();
    table.set_header(["app", "field"].into_iter().chain(environments.iter().map(Name::as_str)));
    let mut notes: Vec<&str> = Vec::new();
    for (app, fields) in &document.apps {
        for (i, (field, verdicts)) in fields.iter().enumerate() {
            let mut row = vec![Cell::new(if i == 0 || !boxed { app.as_str() } else { "" }), Cell::new(field)];
            row.extend(environments.iter().map(|environment| match verdicts.get(environment) {
                None => Cell::new(""),
                Some(Verdict { word, note }) => {
                    let number = note.map(|note| match notes.iter().position(|n| *n == note) {
                        Some(known) => known + 1,
                        None => {
                            notes.push(note);
                            notes.len()
                        }
                    });
                    let text = number.map_or_else(|| (*word).to_owned(), |number| format!("{word} [{number}]"));
                    if boxed { Cell::new(text).fg(color(word)) } else { Cell::new(text) }
                }
            }));
            table.add_row(row);
        }
    }
    let mut out = format!("{table}\n");
    if document.apps.is_empty() {
        out = "There is no app in scope.\n".to_owned();
    }
    for (i, note) in notes.iter().enumerate() {
        out.push_str(&format!("[{}] {note}\n", i + 1));
    }
    for note in &document.notes {
        out.push_str(&format!("{note}\n"));
    }
    out
}

fn color(word: &str) -> Color {
    match word {
        "honoured" => Color::Green,
        "adapted" | "allowed" | "ignored" => Color::Yellow,
        "unsupported" => Color::Red,
        _ => Color::Grey,
    }
}
