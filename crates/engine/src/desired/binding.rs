//! `bind.<app>`: the variables through which an app finds another one.

use indexmap::IndexMap;

use super::AppContext;
use super::name::Name;
use super::text::{Segment, Text};
use crate::manifest::diagnostic::Diagnostic;
use crate::platform::{Address, Platform};

/// The pseudo resource kind of an app's own address in what its cartridge exports: `<environment>/app/<name>`, with the
/// attributes `host` and `port`. No document holds one: they are replaced here.
pub const ADDRESS_KIND: &str = "app";

/// An app's environment variables with those of its bindings. What the app writes itself wins.
pub(crate) fn environment(
    name: &Name,
    apps: &IndexMap<&Name, AppContext<'_>>,
    platform: &dyn Platform,
) -> Result<IndexMap<String, Text>, Vec<Diagnostic>> {
    let Some(context) = apps.get(name) else { return Ok(IndexMap::new()) };
    let app = &context.rendered.app;
    let mut env = IndexMap::new();
    let mut problems = Vec::new();
    for (target, binding) in &app.bind {
        let key = format!("bind.{target}");
        let Some(other) = apps.get(target) else {
            let message = format!("app {name} is bound to {target}, which does not go to the same environments");
            problems.push(
                context.diagnostic(Some(&key), message).with_help("add the environment to both, or remove the binding in an override"),
            );
            continue;
        };
        let Some(port) = binding.port.as_ref().or_else(|| other.rendered.app.ports.keys().next()) else {
            problems.push(context.diagnostic(Some(&key), format!("app {target} has no port to bind to")));
            continue;
        };
        if !other.rendered.app.ports.contains_key(port) {
            problems.push(context.diagnostic(Some(&key), format!("app {target} has no port {port:?}")));
            continue;
        }
        let address = platform.address(&other.translated(&other.rendered.app.env), port);
        let prefix = binding.prefix.clone().unwrap_or_else(|| target.to_uppercase().replace('-', "_"));
        for (variable, text) in &other.rendered.exports {
            env.insert(format!("{prefix}_{variable}"), with_address(text, &address));
        }
        env.insert(format!("{prefix}_HOST"), address.host);
        env.insert(format!("{prefix}_PORT"), address.port);
    }
    env.extend(app.env.iter().map(|(variable, text)| (variable.clone(), text.clone())));
    if problems.is_empty() { Ok(env) } else { Err(problems) }
}

/// Puts an app's address in the place of its pseudo attributes.
fn with_address(text: &Text, address: &Address) -> Text {
    let replaced = text.segments().iter().flat_map(|segment| match segment {
        Segment::Attribute { of, name } if &*of.kind == ADDRESS_KIND => match name.as_str() {
            "host" => address.host.segments().to_vec(),
            _ => address.port.segments().to_vec(),
        },
        other => vec![other.clone()],
    });
    replaced.collect()
}
