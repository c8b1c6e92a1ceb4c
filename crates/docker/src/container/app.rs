//! What every platform of this crate tells a container of an app.

use indexmap::IndexMap;
use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::text::Text;
use stratos_engine::manifest::schema::App;
use stratos_engine::platform::TranslatedApp;

use super::{expand, probe};

/// For a whole roll-out, where the app does not say.
pub(crate) const ROLLOUT_TIMEOUT: Duration = Duration(300_000);
/// Permission bits that a file has where nothing is said.
pub(crate) const FILE_MODE: u32 = 0o444;

/// Writes `image`, `command`, `environment`, `healthcheck` and the resources of `deploy`.
///
/// Ports, files, volumes, networks, replicas and roll-outs are each platform's own.
pub(crate) fn write(app: &TranslatedApp<'_>, out: &mut DocumentBuilder) {
    if let Some(image) = &app.app.image {
        out.put(["image"], Leaf::image(image));
    }
    let environment = expand::environment(&variables(app));
    let command: Vec<Text> = app.app.command.iter().flatten().map(|word| expand::expand(word, &environment)).collect();
    // The first word replaces the image's own program, as in all platforms: an image's entry point would get it as an argument.
    let (program, arguments) = command.split_at(command.len().min(1));
    out.list(&["entrypoint"], program);
    out.list(&["command"], arguments);
    for (name, value) in &environment {
        out.put(["environment", name.as_str()], Leaf::from_text(value));
    }
    probe::write(app.app, out);
    resources(app.app, out);
}

/// The app's variables, and those that tell it its ports, which are stronger.
fn variables(app: &TranslatedApp<'_>) -> IndexMap<String, Text> {
    let mut variables = app.env.clone();
    for (index, (name, port)) in app.app.ports.iter().enumerate() {
        let number = Text::literal(port.port.to_string());
        if index == 0 {
            variables.insert("PORT".to_owned(), number.clone());
        }
        variables.insert(format!("PORT_{}", name.to_uppercase().replace('-', "_")), number);
    }
    variables
}

fn resources(app: &App, out: &mut DocumentBuilder) {
    let Some(resources) = &app.resources else { return };
    if let Some(cpu) = resources.cpu {
        out.put(["deploy", "resources", "reservations", "cpus"], Leaf::Cpu(cpu));
    }
    if let Some(limit) = resources.cpu_limit {
        out.put(["deploy", "resources", "limits", "cpus"], Leaf::Cpu(limit));
    }
    if let Some(memory) = resources.memory {
        out.put(["deploy", "resources", "reservations", "memory"], Leaf::Bytes(memory));
        out.put(["deploy", "resources", "limits", "memory"], Leaf::Bytes(memory));
    }
}
