//! What a container is told to remember about itself, in labels: all that its inspection does not give back.
//!
//! Labels are fixed when a container is made, so they tell how it was made. What the engine knows is read from the engine.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::ImageInspect;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;

use crate::container::{Container, environment_table};

/// The name of the resource that a container or a volume belongs to.
pub(crate) const RESOURCE: &str = "stratos.resource";
/// Which of the app's instances a container is, from 1.
pub(crate) const INSTANCE: &str = "stratos.instance";
/// What a container is for, where it is no instance.
pub(crate) const ROLE: &str = "stratos.role";
/// The role of the container that published ports lead to.
pub(crate) const PROXY: &str = "proxy";
/// The [`Record`].
pub(crate) const RECORD: &str = "stratos.record";

/// Lists that count as a whole: what an image says in one is not there where the container says something else.
const LISTS: [&str; 3] = ["entrypoint", "command", "healthcheck.test"];

/// The label [`RECORD`], as JSON.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Leaves that the engine has no place for (files, and how a roll-out goes), and such as it fills in by itself.
    #[serde(default)]
    pub leaves: Document,
    /// What the image said when the container was made: the engine gives it back with the rest.
    #[serde(default)]
    pub inherited: Document,
    /// Where the container was told the same as the image says.
    #[serde(default)]
    pub kept: BTreeSet<Path>,
    /// Texts that held another resource's address, and the SHA-256 of what they became.
    #[serde(default)]
    pub references: BTreeMap<Path, (Leaf, String)>,
    /// What it needs: this is deleted after it.
    #[serde(default)]
    pub needs: Vec<ResourceId>,
}

impl Record {
    /// What a container of this document is to remember. `resolved` is the container with its texts made whole.
    pub fn new(document: &Document, resolved: &Document, image: &ImageInspect, needs: &[ResourceId]) -> Self {
        let is_recorded = |path: &Path| {
            ["files", "deploy", "logging", "working_dir", "stop_signal"].iter().any(|root| path.matches(root))
                && !path.matches("deploy.replicas")
        };
        let leaves = document.leaves().iter().filter(|(path, _)| is_recorded(path)).map(|(path, leaf)| (path.clone(), without_text(leaf)));
        let inherited = inherited(image);
        let same = |(path, leaf): &&(Path, Leaf)| inherited.get(path) == Some(leaf);
        let kept = resolved.leaves().iter().filter(same).map(|(path, _)| path.clone()).collect();
        let reference = |(path, leaf): &(Path, Leaf)| match (leaf, resolved.get(path)) {
            (Leaf::Ref(_), Some(Leaf::Text(value))) => Some((path.clone(), (leaf.clone(), digest(value)))),
            _ => None,
        };
        let references = document.leaves().iter().filter_map(reference).collect();
        Self { leaves: leaves.collect(), kept, references, needs: needs.to_vec(), inherited }
    }

    /// Takes what the image said out of what was read.
    pub fn without_inherited(&self, read: Document) -> Document {
        let root = |path: &Path| LISTS.iter().find(|list| path.matches(list));
        let part = |document: &Document, list: &str| -> Vec<(Path, Leaf)> {
            document.leaves().iter().filter(|(path, _)| path.matches(list)).cloned().collect()
        };
        let goes = |path: &Path, leaf: &Leaf| match root(path) {
            Some(list) => {
                let kept = self.kept.iter().any(|kept| kept.matches(list));
                !kept && part(&read, list) == part(&self.inherited, list)
            }
            None => !self.kept.contains(path) && self.inherited.get(path) == Some(leaf),
        };
        let gone: Vec<(Path, Option<Leaf>)> =
            read.leaves().iter().filter(|(path, leaf)| goes(path, leaf)).map(|(path, _)| (path.clone(), None)).collect();
        read.with(gone)
    }

    /// Puts references back where texts still are what they became.
    pub fn with_references(&self, read: &Document) -> Document {
        let reference = |(path, (leaf, became)): (&Path, &(Leaf, String))| match read.get(path) {
            Some(Leaf::Text(value)) if digest(value) == *became => Some((path.clone(), Some(leaf.clone()))),
            _ => None,
        };
        read.with(self.references.iter().filter_map(reference))
    }
}

/// A secret's names are in no label, nor is its value: its fingerprint is.
fn without_text(leaf: &Leaf) -> Leaf {
    match leaf {
        Leaf::Secret { text: _, fingerprint } => Leaf::Secret { text: None, fingerprint: fingerprint.clone() },
        other => other.clone(),
    }
}

/// The leaves that a container gets from its image.
fn inherited(image: &ImageInspect) -> Document {
    let Some(config) = &image.config else { return Document::default() };
    let container = Container {
        entrypoint: config.entrypoint.clone().unwrap_or_default(),
        command: config.cmd.clone().unwrap_or_default(),
        environment: environment_table(config.env.as_deref().unwrap_or_default()),
        healthcheck: config.healthcheck.clone(),
        labels: config.labels.clone().unwrap_or_default().into_iter().collect(),
        user: config.user.clone(),
        working_dir: config.working_dir.clone(),
        stop_signal: config.stop_signal.clone(),
        ..Container::default()
    };
    let mut out = DocumentBuilder::default();
    container.write(&|source| Leaf::Text(source.into()), &mut out);
    out.build()
}

fn digest(value: &str) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use bollard::models::ImageConfig;
    use stratos_engine::desired::text::{Segment, Text};

    use super::*;

    fn texts(leaves: &[(&[&str], &str)]) -> Document {
        leaves.iter().map(|(path, text)| (Path::new(path.iter().copied()), Leaf::Text((*text).into()))).collect()
    }

    fn image() -> ImageInspect {
        let list = |items: &[&str]| Some(items.iter().map(|item| (*item).to_owned()).collect());
        let config = ImageConfig { env: list(&["PATH=/bin", "MODE=well"]), cmd: list(&["/bin/web", "--fast"]), ..ImageConfig::default() };
        ImageInspect { config: Some(config), ..ImageInspect::default() }
    }

    #[test]
    fn what_the_image_says_is_no_part_of_the_document() {
        let record = Record::new(&Document::default(), &Document::default(), &image(), &[]);
        let read = texts(&[(&["environment", "PATH"], "/bin"), (&["command", "[0000]"], "/bin/web"), (&["command", "[0001]"], "--fast")]);
        assert_eq!(record.without_inherited(read), Document::default());
        let other = texts(&[(&["environment", "PATH"], "/usr/bin"), (&["command", "[0000]"], "/bin/web")]);
        assert_eq!(record.without_inherited(other.clone()), other);
    }

    #[test]
    fn what_was_declared_stays_although_the_image_says_the_same() {
        let declared =
            texts(&[(&["environment", "MODE"], "well"), (&["command", "[0000]"], "/bin/web"), (&["command", "[0001]"], "--fast")]);
        let record = Record::new(&declared, &declared, &image(), &[]);
        let read = declared.with([(Path::new(["environment", "PATH"]), Some(Leaf::Text("/bin".into())))]);
        assert_eq!(record.without_inherited(read), declared);
    }

    #[test]
    fn a_reference_is_one_as_long_as_its_value_is_what_it_became() {
        let of = "dev/service/db".parse().unwrap();
        let text: Text = [Segment::Attribute { of: Box::new(of), name: "port".into() }].into_iter().collect();
        let path = Path::new(["environment", "PORT"]);
        let document: Document = [(path.clone(), Leaf::from_text(&text))].into_iter().collect();
        let resolved = texts(&[(&["environment", "PORT"], "5432")]);
        let record = Record::new(&document, &resolved, &ImageInspect::default(), &[]);
        let json = serde_json::to_string(&record).unwrap();
        let record: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(record.with_references(&resolved), document);
        let edited = texts(&[(&["environment", "PORT"], "5433")]);
        assert_eq!(record.with_references(&edited), edited);
    }
}
