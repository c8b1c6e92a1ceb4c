//! `state.json`: what an environment holds, for when no supervisor runs that could be asked.
//!
//! It holds documents and fingerprints, and no value of a secret.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde::{Deserialize, Serialize};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::RolloutState;

use crate::folder::Folder;
use crate::protocol::SeenObject;
use crate::translate::{VOLUME, WORKLOAD};

/// The version of the format.
const FORMAT: u32 = 1;

/// Everything that an environment holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    pub objects: Vec<Stored>,
}

/// One volume or workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored {
    pub id: ResourceId,
    /// Tells it from another one of the same name. Its folders are named by it.
    pub uid: String,
    /// None for what was forgotten.
    pub marks: Option<Marks>,
    pub document: Document,
    /// The ports on which other apps reach it, by name. Chosen once, so that they stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// The uids of the volumes that it uses, by the volume's name in the app.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mounts: BTreeMap<String, String>,
    /// What it was applied after: other apps are not in its document, and it must still go before them when both go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ResourceId>,
}

/// Why `state.json` could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read: {why}")]
pub(crate) struct StateError {
    path: String,
    why: String,
}

impl State {
    pub fn new(objects: Vec<Stored>) -> Self {
        Self { format: FORMAT, objects }
    }

    /// What was written last; nothing where nothing ever was.
    pub fn read(folder: &Folder) -> Result<Self, StateError> {
        let path = folder.state();
        let error = |why: String| StateError { path: path.display().to_string(), why };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::new(vec![])),
            Err(e) => return Err(error(e.to_string())),
        };
        let state: Self = serde_json::from_slice(&text).map_err(|e| error(e.to_string()))?;
        if state.format != FORMAT {
            return Err(error(format!("it has format {}, and this build knows format {FORMAT}", state.format)));
        }
        Ok(state)
    }

    /// Writes it whole or not at all, and so that it is there after a loss of power.
    ///
    /// Once it has its name it is written: whoever reads it sees it. Should the folder not reach the disk (some file systems
    /// cannot be asked to), a loss of power may bring back what was there before, which a plan would show; to call
    /// that a failure would leave the supervisor with another state than its file.
    pub fn write(&self, folder: &Folder) -> io::Result<()> {
        let (path, new) = (folder.state(), folder.path().join("state.json.new"));
        let text = serde_json::to_vec_pretty(self)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        if let Err(error) = File::open(folder.path()).and_then(|folder| folder.sync_all()) {
            tracing::warn!(path = %path.display(), %error, "the state is written, and may not outlast a loss of power");
        }
        Ok(())
    }
}

impl Stored {
    pub fn is_volume(&self) -> bool {
        &*self.id.kind == VOLUME.kind
    }

    /// Whether it is what its entry says: a volume whose folder somebody removed is gone.
    pub fn exists(&self, folder: &Folder) -> bool {
        !self.is_volume() || folder.volume(&self.uid).is_dir()
    }

    /// It, as `observe` reports it, with the document and the roll-out that were found.
    pub fn seen(&self, document: Document, rollout: RolloutState) -> SeenObject {
        SeenObject {
            id: self.id.clone(),
            marks: self.marks.clone(),
            document,
            uid: self.uid.clone(),
            attributes: self.attributes(),
            holds_data: self.is_volume(),
            depends_on: self.depends_on.clone(),
            rollout,
        }
    }

    /// Its document while no supervisor runs it. That a workload is stopped is no part of what `translate` asks for, so a
    /// plan shows it, and an apply starts it again.
    pub fn document_at_rest(&self) -> Document {
        let stopped = (!self.is_volume()).then(|| (Path::new(["stopped"]), Some(Leaf::Bool(true))));
        self.document.with(stopped)
    }

    /// What `apply` returns and other resources refer to: `ports.<name>`.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        self.ports.iter().map(|(name, port)| (format!("ports.{name}"), port.to_string())).collect()
    }
}

/// Whether there is a kind of that name here.
pub(crate) fn is_known_kind(kind: &str) -> bool {
    [VOLUME.kind, WORKLOAD.kind].contains(&kind)
}
