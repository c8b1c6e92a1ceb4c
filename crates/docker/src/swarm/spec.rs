//! A service's document and the specification that the swarm keeps: one is written, the other is read back.
//!
//! Every field that a document can hold is taken out of a specification as it is read. What is left, somebody has set by
//! other means: it stays visible under `other`, so that a plan shows it and an apply removes it.

mod container;
mod deploy;
pub(crate) mod files;
pub(crate) mod networks;
pub(crate) mod ports;
mod rest;

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ServiceSpec, TaskSpec};
use stratos_engine::desired::document::{Document, DocumentBuilder};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::path::Path;
use zeroize::Zeroizing;

use crate::container::{Container, Whole, secrets};
use crate::labels;

/// What identifiers in a specification stand for.
pub(crate) struct Known<'a> {
    /// The environment that references lead to.
    pub environment: &'a Name,
    /// Networks by id.
    pub networks: &'a HashMap<String, String>,
    /// The present generation of each secret, by the secret's name. None where secrets could not be listed.
    pub secrets: Option<&'a BTreeMap<String, u64>>,
}

/// A document that was read, with the values of its secrets.
pub(crate) struct ReadSpec {
    pub document: Document,
    pub secret_values: Vec<(Path, Zeroizing<String>)>,
}

/// The document of a specification.
pub(crate) fn read(spec: &ServiceSpec, known: &Known<'_>) -> ReadSpec {
    let mut spec = spec.clone();
    let mut out = DocumentBuilder::default();
    let own = spec.labels.take().unwrap_or_default();
    for (name, value) in own.iter().filter(|(name, _)| !name.starts_with(labels::PREFIX)) {
        out.text(["deploy", "labels", name], value);
    }
    spec.name = None;
    let endpoint = spec.endpoint_spec.take().unwrap_or_default();
    ports::write(&ports::of(&endpoint), &mut out);
    deploy::read(&mut spec, &endpoint, &mut out);
    // The field of before 2017; the swarm keeps what an old client wrote into it.
    let earlier = spec.networks.take().unwrap_or_default();
    let mut task = spec.task_template.take().unwrap_or_default();
    let attached = task.networks.take().unwrap_or_default();
    networks::read(attached.iter().chain(&earlier), known, &mut out);
    let mut inside = task.container_spec.take().unwrap_or_default();
    files::read(&mut inside, known, &mut out);
    container::take(&mut inside, &mut task).write(&|source| stratos_engine::desired::document::Leaf::Text(source.into()), &mut out);
    deploy::read_task(&mut task, &mut out);
    // Nobody's wish: how often instances were started anew, and what every service has.
    task.force_update = None;
    task.runtime = task.runtime.filter(|runtime| runtime != "container");
    task.container_spec = Some(inside);
    spec.task_template = Some(task);
    rest::write(&spec, &mut out);
    let (document, secret_values) = secrets::hide(out, &own);
    ReadSpec { document, secret_values }
}

/// What a specification takes beside the document.
pub(crate) struct Beside<'a> {
    /// The live name.
    pub name: &'a str,
    /// Our marks, as labels.
    pub marks: HashMap<String, String>,
    /// Names of configs and secrets by their ids.
    pub file_names: &'a HashMap<String, String>,
    /// How often the live service was started anew: another number would start it anew again.
    pub force_update: Option<u64>,
}

/// The specification of a document.
///
/// # Errors
/// A sentence, where a leaf is not what its field takes, or a text cannot be made whole.
pub(crate) fn write(document: &Document, beside: Beside<'_>, whole: &Whole<'_>) -> Result<ServiceSpec, String> {
    let mut spec = ServiceSpec { name: Some(beside.name.to_owned()), ..ServiceSpec::default() };
    let mut task = TaskSpec { force_update: beside.force_update, ..TaskSpec::default() };
    let mut inside = container::put(Container::read(document, whole)?, &mut task);
    files::put(document, beside.file_names, whole, &mut inside)?;
    task.container_spec = Some(inside);
    task.networks = networks::put(document)?;
    let mut marks = beside.marks;
    marks.extend(secrets::label(document));
    spec.labels = Some(marks);
    deploy::put(document, whole, &mut spec, &mut task)?;
    let ports = ports::read(document)?;
    if !ports.is_empty() {
        spec.endpoint_spec.get_or_insert_default().ports = Some(ports.iter().map(ports::Published::config).collect());
    }
    spec.task_template = Some(task);
    Ok(spec)
}

#[cfg(test)]
mod tests;
