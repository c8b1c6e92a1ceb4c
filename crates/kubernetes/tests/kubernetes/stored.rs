//! The file is the measure: a live object holds each field that its file declares. The file and the live object are both read by
//! kubectl, so that no code of this platform decides which fields count.
//!
//! A live object may hold something else for the reasons in [`exceptions`] alone. The types of fields come from the API's own OpenAPI document, and
//! the server itself decides which zero values it drops.

mod compare;
mod exceptions;
mod types;
mod zeros;

use std::path::{Path, PathBuf};

use serde_json::Value;
use stratos_test_platforms::Cluster;

pub use self::compare::Compared;
use self::exceptions::Exception;

/// How kubectl reads a file without writing anything.
const READ: [&str; 4] = ["create", "--dry-run=client", "--validate=ignore", "--output=json"];

/// A namespace of a cluster, as kubectl sees it.
pub struct Reader<'a> {
    cluster: &'a Cluster,
    /// kubectl refuses an object of another namespace when it is given `--namespace`, so the namespace is the kubeconfig's.
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl<'a> Reader<'a> {
    pub fn new(cluster: &'a Cluster, namespace: &str) -> Self {
        let reader = Self::with(cluster, cluster.kubeconfig());
        let path = reader.kubeconfig.display().to_string();
        cluster.kubectl(&["config", "set-context", "--current", "--namespace", namespace, "--kubeconfig", &path]);
        reader
    }

    /// The same in the namespace of this kubeconfig.
    pub fn with(cluster: &'a Cluster, kubeconfig: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("kubeconfig");
        std::fs::copy(kubeconfig, &copy).unwrap();
        Self { cluster, kubeconfig: copy, folder }
    }

    /// Compares all manifests of a folder, or of a file, with the live objects.
    pub fn compare(&self, path: &Path) -> Compared {
        let (declared, unread) = self.some_objects(&[&READ, &["--filename", &path.display().to_string()][..]].concat());
        let (live, missing) = self.some_objects(&["get", "--output=json", "--filename", &path.display().to_string()]);
        let mut out = Compared { objects: declared.len(), ..Compared::default() };
        // A file without objects is none that kubectl reads.
        if !declared.is_empty() || !unread.contains("no objects passed to create") {
            out.lost.extend([unread, missing].into_iter().filter(|why| !why.is_empty()).map(|why| why.trim_end().to_owned()));
        }
        for declared in &declared {
            // An object that is not there is named in kubectl's own words.
            if let Some(live) = live.iter().find(|live| is_counterpart(declared, live)) {
                compare::object(declared, live, &types::of(self.cluster, declared), &mut out);
            }
        }
        zeros::judge(self, &mut out);
        out
    }

    /// Compares manifests with the live objects.
    pub fn compare_text(&self, text: &str) -> Compared {
        let file = self.folder.path().join("all.yaml");
        std::fs::write(&file, text).unwrap();
        self.compare(&file)
    }

    /// The objects of a folder or a file as kubectl reads them. The cluster knows their kinds.
    pub fn declared(&self, path: &Path) -> Vec<Value> {
        let (objects, errors) = self.some_objects(&[&READ, &["--filename", &path.display().to_string()][..]].concat());
        assert!(errors.is_empty(), "kubectl does not read {}: {errors}", path.display());
        objects
    }

    /// The objects that kubectl prints, those of lists one by one, and its error where it fails.
    fn some_objects(&self, arguments: &[&str]) -> (Vec<Value>, String) {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let output = self.cluster.try_kubectl(&[&[kubeconfig.as_str()], arguments].concat());
        let errors = if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() };
        let printed = String::from_utf8(output.stdout).unwrap();
        let documents = serde_json::Deserializer::from_str(&printed).into_iter::<Value>().map(Result::unwrap);
        let single = |document: Value| match document {
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => match list.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            },
            object => vec![object],
        };
        (documents.flat_map(single).collect(), errors)
    }
}

/// Whether two objects are the same one. kubectl sets the namespace of an object that declares none.
fn is_counterpart(declared: &Value, live: &Value) -> bool {
    let [declared_in, live_in] = [declared, live].map(|object| &object["metadata"]["namespace"]);
    declared["kind"] == live["kind"]
        && declared["apiVersion"] == live["apiVersion"]
        && declared["metadata"]["name"] == live["metadata"]["name"]
        && (live_in.is_null() || declared_in == live_in)
}
