//! `stratos list`

use serde::Serialize;
use stratos_engine::manifest::schema::PlatformKind;
use stratos_engine::manifest::source::Node;
use stratos_engine::render::cartridge::catalogue::Catalogue;

use super::Context;
use super::error::{Exit, Failure};
use super::output::Format;
use super::session::Session;
use crate::connect::BUILT;

const EXAMPLES: &str = "\
Examples:
  stratos list envs
  stratos list apps --env=dev
  stratos list cartridges --output json";

/// List environments, apps, or the cartridges of the catalogue.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to list.
    #[arg(value_name = "envs|apps|cartridges", value_enum)]
    what: What,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// The environments of the manifest.
    Envs,
    /// The apps of the manifest.
    Apps,
    /// The cartridges of the catalogue.
    Cartridges,
}

#[derive(Serialize)]
struct EnvironmentEntry {
    name: String,
    platform: PlatformKind,
    url: Option<String>,
    apps: usize,
    /// Whether this build can reach it.
    built: bool,
}

#[derive(Serialize)]
struct AppEntry {
    name: String,
    /// As written: it may be a template.
    runs: String,
    environments: Vec<String>,
}

#[derive(Serialize)]
struct CartridgeEntry {
    name: String,
    version: String,
    description: String,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.what {
        What::Envs => {
            let session = Session::load(&context.global)?;
            let entries: Vec<_> = session.environments().map(|name| environment(&session, name)).collect();
            let rows = entries.iter().map(|e| {
                let note = if e.built { String::new() } else { "this build does not have it yet".to_owned() };
                [
                    e.name.clone(),
                    e.platform.to_string(),
                    if e.apps == 1 { "1 app".to_owned() } else { format!("{} apps", e.apps) },
                    e.url.clone().unwrap_or_default(),
                    note,
                ]
            });
            print(context, "environments", &entries, rows, "none: `stratos add env NAME --platform local` adds one")
        }
        What::Apps => {
            let session = Session::load(&context.global)?;
            let entries = apps(&session);
            let rows = entries.iter().map(|e| [e.name.clone(), e.runs.clone(), e.environments.join(", ")]);
            print(context, "apps", &entries, rows, "none: `stratos add app NAME` adds one")
        }
        What::Cartridges => {
            let entry = |c: &stratos_engine::render::cartridge::Cartridge| CartridgeEntry {
                name: c.name.to_string(),
                version: c.version.clone(),
                description: c.description.clone(),
            };
            let entries: Vec<_> = Catalogue::embedded().list()?.iter().map(entry).collect();
            let rows = entries.iter().map(|e| [e.name.clone(), e.version.clone(), e.description.clone()]);
            print(context, "cartridges", &entries, rows, "none")
        }
    }
}

fn environment(session: &Session, name: &stratos_engine::desired::name::Name) -> EnvironmentEntry {
    let settings = &session.manifest.environments[name];
    EnvironmentEntry {
        name: name.to_string(),
        platform: settings.platform,
        url: settings.url.clone(),
        apps: session.manifest.apps_of(name).count(),
        built: BUILT.contains(&settings.platform),
    }
}

fn apps(session: &Session) -> Vec<AppEntry> {
    let goes_to = |app: &str| {
        let here = session.environments().filter(|environment| session.manifest.apps_of(environment).any(|(name, _)| &**name == app));
        here.map(ToString::to_string).collect::<Vec<_>>()
    };
    let entry = |name: &str, node: &Node| AppEntry { name: name.to_owned(), runs: runs(node), environments: goes_to(name) };
    session.manifest.apps.iter().map(|(name, node)| entry(name, node)).filter(|app| !app.environments.is_empty()).collect()
}

/// What an app runs, as it is written.
fn runs(app: &Node) -> String {
    let text = |key: &str| app.get(key).and_then(Node::as_str);
    if let Some(cartridge) = text("cartridge") {
        return format!("cartridge {cartridge}");
    }
    if let Some(image) = text("image") {
        return image.to_owned();
    }
    let command = app.get("command").and_then(Node::as_array);
    command.map(|parts| parts.iter().filter_map(Node::as_str).collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// A list under its name in JSON, and aligned columns elsewhere.
fn print<const N: usize>(
    context: &Context,
    name: &str,
    entries: &impl Serialize,
    rows: impl Iterator<Item = [String; N]>,
    empty: &str,
) -> Result<Exit, Failure> {
    if context.output.format() == Format::Json {
        context.output.json(&serde_json::json!({ "format": 1, name: entries }))?;
        return Ok(Exit::Success);
    }
    let rows: Vec<[String; N]> = rows.collect();
    let widths: [usize; N] = std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        context.output.result(cells.join("  ").trim_end());
    }
    if rows.is_empty() {
        context.output.note(empty);
    }
    Ok(Exit::Success)
}
