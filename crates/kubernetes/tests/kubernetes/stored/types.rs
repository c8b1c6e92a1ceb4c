//! The types of built-in kinds, from the OpenAPI v3 documents that the server publishes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use stratos_test_platforms::{Cluster, eventually};

const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// The type of a kind, with the document that its references point into. A custom resource has none: all of it is stored as it
/// is written.
#[derive(Clone)]
pub struct Types {
    document: Arc<Value>,
    root: Option<String>,
}

/// The type of a field.
pub enum Type<'a> {
    /// Any JSON, stored as it is written.
    Free,
    /// A struct, with its name: what is unknown is dropped, and so may be a zero value.
    Struct {
        name: &'a str,
        fields: &'a Value,
    },
    /// A map with free keys.
    Map(&'a Value),
    /// A list whose elements are told apart by these keys; without keys by their position.
    List {
        of: &'a Value,
        keys: Vec<&'a str>,
    },
    /// A list without an order.
    Set,
    Quantity,
    Time,
    Bytes,
    Scalar,
}

/// The type of an object's kind.
pub fn of(cluster: &Cluster, object: &Value) -> Types {
    let version = object["apiVersion"].as_str().expect("an apiVersion");
    let document = document(cluster, version);
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let is_root = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| {
            kinds.iter().any(|kind| kind["group"] == group && kind["version"] == version && kind["kind"] == object["kind"])
        })
    };
    let schemas = document["components"]["schemas"].as_object();
    let root = schemas.and_then(|schemas| schemas.iter().find(|(name, schema)| is_built_in(name) && is_root(schema)));
    let root = root.map(|(name, _)| name.clone());
    Types { document, root }
}

/// The OpenAPI document of a version of the API, which is asked for once in each cluster.
fn document(cluster: &Cluster, version: &str) -> Arc<Value> {
    type Documents = HashMap<(PathBuf, String), Arc<Value>>;
    static DOCUMENTS: OnceLock<Mutex<Documents>> = OnceLock::new();
    let documents = DOCUMENTS.get_or_init(Mutex::default);
    let key = (cluster.kubeconfig().to_owned(), version.to_owned());
    if let Some(known) = documents.lock().unwrap().get(&key) {
        return Arc::clone(known);
    }
    let at = if version.contains('/') { format!("apis/{version}") } else { format!("api/{version}") };
    let path = format!("/openapi/v3/{at}");
    // The server publishes it a moment after a definition is established.
    let text = eventually(&format!("{path} is published"), || {
        let output = cluster.try_kubectl(&["get", "--raw", &path]);
        let [printed, error] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if output.status.success() { Ok(printed) } else { Err(error) }
    });
    let document = Arc::new(serde_json::from_str(&text).unwrap());
    documents.lock().unwrap().insert(key, Arc::clone(&document));
    document
}

fn is_built_in(name: &str) -> bool {
    // A custom resource of the group `gateway.networking.k8s.io` is called `io.k8s.networking.gateway.…`.
    ["io.k8s.api.", "io.k8s.apimachinery.", "io.k8s.apiextensions-apiserver.", "io.k8s.kube-aggregator."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

impl Types {
    /// The type of the whole object.
    pub fn root(&self) -> Type<'_> {
        self.root.as_deref().map_or(Type::Free, |name| self.named(name))
    }

    /// The type of a field, by its schema.
    pub fn resolve<'a>(&'a self, schema: &'a Value) -> Type<'a> {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        if let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) {
            return self.named(name);
        }
        self.plain("", schema)
    }

    fn named<'a>(&'a self, name: &'a str) -> Type<'a> {
        match name.rsplit('.').next() {
            Some("Quantity") => Type::Quantity,
            Some("Time" | "MicroTime") => Type::Time,
            Some("JSON" | "RawExtension") => Type::Free,
            // These have no type in the document: one schema, or something simpler.
            Some("JSONSchemaPropsOrBool" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray") => self.named(SCHEMA),
            _ => self.plain(name, &self.document["components"]["schemas"][name]),
        }
    }

    fn plain<'a>(&'a self, name: &'a str, schema: &'a Value) -> Type<'a> {
        match (schema["type"].as_str(), schema["format"].as_str()) {
            (Some("object"), _) if schema["properties"].is_object() => Type::Struct { name, fields: &schema["properties"] },
            (Some("object"), _) if schema["additionalProperties"].is_object() => Type::Map(&schema["additionalProperties"]),
            (Some("array"), _) => match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => Type::Set,
                Some("map") => {
                    let keys = schema["x-kubernetes-list-map-keys"].as_array();
                    Type::List { of: &schema["items"], keys: keys.into_iter().flatten().filter_map(Value::as_str).collect() }
                }
                _ => Type::List { of: &schema["items"], keys: Vec::new() },
            },
            (Some("object") | None, _) if schema["format"].is_null() && schema["oneOf"].is_null() => Type::Free,
            (Some("string"), Some("byte")) => Type::Bytes,
            (Some("string"), Some("date-time")) => Type::Time,
            _ => Type::Scalar,
        }
    }
}
