//! `files.<path>`: configs and secrets, and where an instance finds them.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    TaskSpecContainerSpec, TaskSpecContainerSpecConfigs, TaskSpecContainerSpecFile, TaskSpecContainerSpecFile1,
    TaskSpecContainerSpecSecrets,
};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::resource::ResourceId;

use super::Known;
use crate::container::{Whole, leaves};
use crate::swarm::names::split_generation;
use crate::swarm::translate::{CONFIG, FILE_MODE, SECRET, reference};

/// Whose a file is where nothing is said.
const ROOT: &str = "0";

/// Permission bits as people write them.
pub(crate) fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// One file, whatever it comes from.
struct File {
    path: String,
    uid: Option<String>,
    gid: Option<String>,
    mode: Option<u32>,
}

/// Takes the configs and secrets out of a live specification and writes them.
pub(crate) fn read(inside: &mut TaskSpecContainerSpec, known: &Known<'_>, out: &mut DocumentBuilder) {
    for TaskSpecContainerSpecConfigs { file, runtime: _, config_id: _, config_name } in inside.configs.take().into_iter().flatten() {
        let Some(TaskSpecContainerSpecFile1 { name, uid, gid, mode }) = file else { continue };
        let config = ResourceId::new(known.environment, CONFIG.kind, &config_name.unwrap_or_default());
        File { path: name.unwrap_or_default(), uid, gid, mode }.write(CONFIG.kind, reference(config), out);
    }
    for TaskSpecContainerSpecSecrets { file, secret_id: _, secret_name } in inside.secrets.take().into_iter().flatten() {
        let Some(TaskSpecContainerSpecFile { name, uid, gid, mode }) = file else { continue };
        let live = secret_name.unwrap_or_default();
        let (secret, generation) = split_generation(&live);
        // A generation that is not the present one is a reference that leads nowhere (any more).
        let present = known.secrets.is_none_or(|present| present.get(secret) == Some(&generation));
        let leaf = if present { reference(ResourceId::new(known.environment, SECRET.kind, secret)) } else { Leaf::Unknown };
        File { path: name.unwrap_or_default(), uid, gid, mode }.write(SECRET.kind, leaf, out);
    }
}

impl File {
    fn write(&self, kind: &str, of: Leaf, out: &mut DocumentBuilder) {
        let path = self.path.as_str();
        out.put(["files", path, kind], of);
        for (name, value) in [("uid", &self.uid), ("gid", &self.gid)] {
            leaves::text(out, &["files", path, name], value.as_deref().filter(|value| *value != ROOT));
        }
        if let Some(mode) = self.mode.filter(|mode| *mode != FILE_MODE) {
            out.text(["files", path, "mode"], &octal(mode));
        }
    }
}

/// Puts the configs and secrets of a document into a specification. `names` has their live names by id.
pub(crate) fn put(
    document: &Document,
    names: &HashMap<String, String>,
    whole: &Whole<'_>,
    inside: &mut TaskSpecContainerSpec,
) -> Result<(), String> {
    let mut files: BTreeMap<String, (File, Option<(bool, String)>)> = BTreeMap::new();
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        let ["files", at, field] = segments.as_slice() else { continue };
        let empty = || File { path: (*at).to_owned(), uid: None, gid: None, mode: None };
        let (file, source) = files.entry((*at).to_owned()).or_insert_with(|| (empty(), None));
        match *field {
            "config" => *source = Some((false, whole(leaf)?)),
            "secret" => *source = Some((true, whole(leaf)?)),
            "uid" => file.uid = Some(whole(leaf)?),
            "gid" => file.gid = Some(whole(leaf)?),
            "mode" => {
                let mode = u32::from_str_radix(&whole(leaf)?, 8);
                file.mode = Some(mode.map_err(|_| format!("{path}: {leaf} is no mode in octal"))?);
            }
            _ => return Err(format!("{path} is not a field of a file")),
        }
    }
    for (path, (file, source)) in files {
        let (is_secret, id) = source.ok_or_else(|| format!("the file {path} comes from nothing"))?;
        let live = names.get(&id).cloned().ok_or_else(|| format!("the file {path} comes from something without a name: {id}"))?;
        let root = || Some(ROOT.to_owned());
        let (name, uid, gid, mode) = (Some(path), file.uid.or_else(root), file.gid.or_else(root), file.mode.or(Some(FILE_MODE)));
        if is_secret {
            let file = Some(TaskSpecContainerSpecFile { name, uid, gid, mode });
            let secret = TaskSpecContainerSpecSecrets { file, secret_id: Some(id), secret_name: Some(live) };
            inside.secrets.get_or_insert_default().push(secret);
        } else {
            let file = Some(TaskSpecContainerSpecFile1 { name, uid, gid, mode });
            let config = TaskSpecContainerSpecConfigs { file, runtime: None, config_id: Some(id), config_name: Some(live) };
            inside.configs.get_or_insert_default().push(config);
        }
    }
    Ok(())
}
