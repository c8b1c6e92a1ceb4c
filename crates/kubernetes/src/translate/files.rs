//! An app's files and secret variables: a ConfigMap for what everybody may read, a Secret for the rest.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stratos_engine::desired::resource::Resource;
use stratos_engine::desired::text::Text;
use stratos_engine::platform::{FileContent, TranslatedApp};

use super::Maker;
use crate::{names, shape};

/// Permission bits that a file has where nothing is said.
const FILE_MODE: u32 = 0o444;

/// The files of an app, and the texts that only a Secret may hold.
pub(crate) struct Files<'a> {
    plain: BTreeMap<&'a str, &'a FileContent>,
    secret: BTreeMap<&'a str, &'a FileContent>,
    /// By the name of the variable.
    pub(crate) variables: BTreeMap<String, Text>,
}

impl<'a> Files<'a> {
    pub(crate) fn of(app: &'a TranslatedApp<'a>) -> Self {
        let files = app.files.iter().map(|(path, file)| (path.as_str(), file));
        let (secret, plain) = files.partition(|(_, file)| file.content.has_secret());
        let mut variables: BTreeMap<String, Text> =
            app.env.iter().filter(|(_, value)| value.has_secret()).map(|(name, value)| (name.clone(), value.clone())).collect();
        for (index, word) in app.app.command.iter().flatten().enumerate().filter(|(_, word)| word.has_secret()) {
            variables.insert(argument(index), word.clone());
        }
        Self { plain, secret, variables }
    }

    pub(crate) fn config_map(&self, maker: &Maker<'_>) -> Option<Resource> {
        let name = self.config_map_name(maker)?;
        let data: Map<String, Value> =
            self.plain.iter().map(|(path, file)| (names::file_key(path), Value::String(file.content.to_rendered()))).collect();
        Some(maker.object(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": maker.metadata(&name), "immutable": true, "data": data,
        })))
    }

    fn config_map_name(&self, maker: &Maker<'_>) -> Option<String> {
        let content: Vec<String> = self.plain.iter().map(|(path, file)| format!("{path}\0{}", file.content.to_rendered())).collect();
        (!content.is_empty()).then(|| names::config_map(maker.app.name, &content.join("\0\0")))
    }

    pub(crate) fn secret(&self, maker: &Maker<'_>) -> Option<Resource> {
        if self.secret.is_empty() && self.variables.is_empty() {
            return None;
        }
        let files = self.secret.iter().map(|(path, file)| (names::file_key(path), Value::String(file.content.to_rendered())));
        let variables = self.variables.iter().map(|(name, text)| (name.clone(), Value::String(text.to_rendered())));
        let entries: Map<String, Value> = files.chain(variables).collect();
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": maker.metadata(&names::secret(maker.app.name)),
            "immutable": true, "type": "Opaque", "stringData": entries,
        });
        Some(maker.shaped(object, Some(&shape::GENERATIONS)))
    }

    /// The live name of the Secret, as rendered text.
    pub(crate) fn secret_name(maker: &Maker<'_>) -> String {
        maker.name_of("Secret", &names::secret(maker.app.name))
    }

    /// Volumes of the pod, and where they are mounted.
    pub(crate) fn volumes(&self, maker: &Maker<'_>) -> (Vec<Value>, Vec<Value>) {
        let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
        if let Some(name) = self.config_map_name(maker) {
            volumes.push(json!({
                "name": "stratos-files",
                "configMap": { "name": maker.name_of("ConfigMap", &name), "defaultMode": FILE_MODE, "items": items(&self.plain) },
            }));
            mounts.extend(mounted("stratos-files", &self.plain));
        }
        if !self.secret.is_empty() {
            volumes.push(json!({
                "name": "stratos-secrets",
                "secret": { "secretName": Self::secret_name(maker), "defaultMode": FILE_MODE, "items": items(&self.secret) },
            }));
            mounts.extend(mounted("stratos-secrets", &self.secret));
        }
        (volumes, mounts)
    }
}

/// The variable that an argument with a secret is put into: arguments themselves can be read by everybody.
pub(crate) fn argument(index: usize) -> String {
    format!("STRATOS_ARGUMENT_{index}")
}

fn items(files: &BTreeMap<&str, &FileContent>) -> Vec<Value> {
    let item = |(path, file): (&&str, &&FileContent)| {
        let key = names::file_key(path);
        if file.mode == FILE_MODE { json!({ "key": key, "path": key }) } else { json!({ "key": key, "path": key, "mode": file.mode }) }
    };
    files.iter().map(item).collect()
}

/// Each file by itself: what else the image has in that folder stays.
fn mounted(volume: &str, files: &BTreeMap<&str, &FileContent>) -> Vec<Value> {
    let mount = |path: &&str| json!({ "name": volume, "mountPath": path, "subPath": names::file_key(path), "readOnly": true });
    files.keys().map(mount).collect()
}
