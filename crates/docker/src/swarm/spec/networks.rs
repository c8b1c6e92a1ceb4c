//! `networks.<name>`: what a service is attached to, under which other names.

use std::collections::BTreeMap;

use bollard::models::NetworkAttachmentConfig;
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};

use super::Known;
use crate::container::leaves;

/// Writes one attachment.
pub(crate) fn write<'a>(network: &str, aliases: impl IntoIterator<Item = &'a str>, out: &mut DocumentBuilder) {
    out.put(["networks", network, "attached"], Leaf::Bool(true));
    for alias in aliases {
        out.put(["networks", network, "aliases", alias], Leaf::Bool(true));
    }
}

/// Writes the attachments of a live service. A network that is not there any more has no name.
pub(crate) fn read<'a>(attached: impl Iterator<Item = &'a NetworkAttachmentConfig>, known: &Known<'_>, out: &mut DocumentBuilder) {
    for NetworkAttachmentConfig { target, aliases, driver_opts } in attached {
        let target = target.as_deref().unwrap_or_default();
        let Some(name) = known.networks.get(target) else {
            out.put(["networks", target, "attached"], Leaf::Unknown);
            continue;
        };
        write(name, aliases.iter().flatten().map(String::as_str), out);
        for (option, value) in driver_opts.iter().flatten() {
            out.text(["networks", name, "driver_opts", option], value);
        }
    }
}

/// The attachments of a document, in the order of the networks' names.
pub(crate) fn put(document: &Document) -> Result<Option<Vec<NetworkAttachmentConfig>>, String> {
    let mut out: BTreeMap<String, NetworkAttachmentConfig> = BTreeMap::new();
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        let ["networks", name, field @ ..] = segments.as_slice() else { continue };
        let target = || NetworkAttachmentConfig { target: Some((*name).to_owned()), ..NetworkAttachmentConfig::default() };
        let attachment = out.entry((*name).to_owned()).or_insert_with(target);
        match (field, leaf) {
            (["attached"], _) => {}
            (["aliases", alias], leaf) => {
                if leaves::to_flag(path, leaf)? {
                    attachment.aliases.get_or_insert_default().push((*alias).to_owned());
                }
            }
            (["driver_opts", option], Leaf::Text(value)) => {
                attachment.driver_opts.get_or_insert_default().insert((*option).to_owned(), value.to_string());
            }
            _ => return Err(format!("{path} is not a field of an attachment to a network")),
        }
    }
    let out: Vec<NetworkAttachmentConfig> = out.into_values().collect();
    Ok((!out.is_empty()).then_some(out))
}

/// The names of the networks that a document refers to.
pub(crate) fn names(document: &Document) -> std::collections::BTreeSet<String> {
    let named = document.leaves().iter().filter(|(path, _)| path.matches("networks"));
    named.filter_map(|(path, _)| path.segments().nth(1).map(str::to_owned)).collect()
}
