//! Compose files as native parts: `platform.swarm = { compose = "compose.yml" }`, or `platform.docker` (docs/compose.md).
//!
//! A walk through: [`project`] lays files on each other and fills in `${NAME}`; [`swarm`] and [`docker`] make resources
//! of the whole, as far as they do the same with [`translation`], and with a module for each part of a service; [`at`] reads values and reports what is not as it should be. Everything that a file says is
//! translated, refused, or left out because the app allows it: nothing is dropped.

mod at;
mod deploy;
pub(crate) mod docker;
mod dotenv;
mod files;
mod interpolate;
mod merge;
mod mounts;
mod networks;
mod ports;
mod project;
mod service;
pub(crate) mod swarm;
mod translation;
mod unsupported;
mod words;
mod yaml;

use indexmap::IndexMap;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::manifest::suggest;
use stratos_engine::platform::TranslatedApp;
use stratos_engine::render::native::Native;

use at::At;
use interpolate::Values;
use project::Files;

/// The keys of a part.
const KEYS: [&str; 2] = ["compose", "service"];

/// The files that a part names, as far as those that are there tell. A path in a file can use the manifest's variables and the
/// cartridge's parameters, and not the app's `env`: what that holds may be known after apply.
pub(crate) fn wanted(part: &Native) -> Vec<String> {
    project::load(part, Values { env: &IndexMap::new(), others: &part.values }).files.wanted()
}

/// Reports what is no key of a part.
fn check_part(part: &Native, files: &Files<'_>) {
    for (key, entry) in part.node.entries().filter(|(key, _)| !KEYS.contains(key)) {
        let problem = Diagnostic::new(format!("a part with compose files has no key `{key}`"), entry.key_span);
        files.add(Diagnostic { help: suggest::help(key, KEYS, "there are"), ..problem });
    }
}

/// The service that other apps reach under the app's name: `service`, the one that is called like the app, or the only one.
/// None where nobody needs one: an app without ports cannot be bound, and one with an `image` is reached itself.
fn main_service(app: &TranslatedApp<'_>, part: &Native, services: &At<'_>, files: &Files<'_>) -> Option<String> {
    let names: Vec<&str> = services.entries().map(|(name, _)| name).collect();
    let itself = app.app.image.is_some();
    if let Some(written) = part.node.get("service") {
        let named = written.as_str().filter(|name| names.contains(name));
        let problem = match named {
            Some(_) if itself => "`service` has no meaning: other apps reach the app's own container, which its `image` says".to_owned(),
            Some(name) => return Some(name.to_owned()),
            None => format!(
                "there is no service {} in the compose files",
                written.as_str().map_or("of that name".into(), |name| format!("`{name}`"))
            ),
        };
        let help = suggest::help(written.as_str().unwrap_or_default(), names, "there are");
        files.add(Diagnostic { help, ..Diagnostic::new(problem, written.span) });
        return None;
    }
    if itself || app.app.ports.is_empty() {
        return None;
    }
    let found = names.iter().find(|name| **name == app.name.as_str()).or(if let [only] = names.as_slice() { Some(only) } else { None });
    if found.is_none() && !names.is_empty() {
        let message = "the app has ports, and nothing says which of its services other apps reach there";
        files.add(Diagnostic::new(message, part.node.span).with_help(format!("service = \"…\": one of {}", names.join(", "))));
    }
    found.map(|name| (*name).to_owned())
}
