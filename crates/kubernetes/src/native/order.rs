//! What comes before what among the objects of an app.
//!
//! An object waits only for objects whose kind is of a lower rank ([`shape::rank`]), so that nothing waits for itself. Each object
//! is looked at once; what it names is looked up.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use stratos_engine::desired::resource::ResourceId;

use crate::kind::GroupKind;
use crate::object::references;
use crate::shape;

/// The objects of an app, by what others name them by.
pub(crate) struct Order {
    /// The environment's own namespace, which is not in ids.
    own: String,
    /// Kind, namespace (None: the environment's own, or none at all) and name.
    objects: HashMap<(String, Option<String>, String), ResourceId>,
    /// The definition of a kind.
    definitions: HashMap<String, ResourceId>,
    /// What binds roles to a service account: namespace and name.
    bindings: HashMap<(Option<String>, String), Vec<ResourceId>>,
    /// What limits the pods of a namespace.
    limits: HashMap<Option<String>, Vec<ResourceId>>,
    /// What runs pods: by namespace, the pods' labels.
    workloads: HashMap<Option<String>, Vec<(Value, ResourceId)>>,
    /// Selectors of Services.
    selectors: HashMap<ResourceId, Value>,
}

const DEFINITION: &str = "CustomResourceDefinition.apiextensions.k8s.io";
const BINDINGS: [&str; 2] = ["RoleBinding.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io"];
/// Kinds that hold much and name nothing.
const SILENT: [&str; 3] = ["ConfigMap", "Secret", DEFINITION];
/// Annotations that name an object: of a kind, in the same namespace or in none.
const ANNOTATIONS: [(&str, &str, &str); 3] = [
    // The token controller deletes a Secret whose account is not there.
    ("Secret", "kubernetes.io/service-account.name", "ServiceAccount"),
    // Annotations from before `storageClassName` and `ingressClassName` were fields: both still count.
    ("PersistentVolumeClaim", "volume.beta.kubernetes.io/storage-class", "StorageClass.storage.k8s.io"),
    ("Ingress.networking.k8s.io", "kubernetes.io/ingress.class", "IngressClass.networking.k8s.io"),
];

impl Order {
    /// Nothing is known yet.
    pub(crate) fn new(own: &str) -> Self {
        Self {
            own: own.to_owned(),
            objects: HashMap::new(),
            definitions: HashMap::new(),
            bindings: HashMap::new(),
            limits: HashMap::new(),
            workloads: HashMap::new(),
            selectors: HashMap::new(),
        }
    }

    /// Takes note of an object; of one that is made elsewhere no more than its id is known.
    pub(crate) fn add(&mut self, id: &ResourceId, object: Option<&Value>) {
        let namespace = id.namespace.as_deref().map(str::to_owned);
        self.objects.insert((id.kind.to_string(), namespace.clone(), id.name.to_string()), id.clone());
        let Some(object) = object else { return };
        match &*id.kind {
            DEFINITION => {
                let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
                if let (Some(kind), Some(group)) = (text("/spec/names/kind"), text("/spec/group")) {
                    self.definitions.insert(format!("{kind}.{group}"), id.clone());
                }
            }
            "LimitRange" | "ResourceQuota" => self.limits.entry(namespace).or_default().push(id.clone()),
            "Service" => drop(object.pointer("/spec/selector").map(|selector| self.selectors.insert(id.clone(), selector.clone()))),
            kind if BINDINGS.contains(&kind) => {
                let subjects = object.get("subjects").and_then(Value::as_array).into_iter().flatten();
                for subject in subjects.filter(|subject| subject.get("kind").is_some_and(|kind| kind == "ServiceAccount")) {
                    let text = |key: &str| subject.get(key).and_then(Value::as_str).map(str::to_owned);
                    let Some(name) = text("name") else { continue };
                    let within = text("namespace").or_else(|| namespace.clone()).filter(|namespace| *namespace != self.own);
                    self.bindings.entry((within, name)).or_default().push(id.clone());
                }
            }
            _ => {
                if let Some(labels) = template(id, object).and_then(|template| template.pointer("/metadata/labels")) {
                    self.workloads.entry(namespace).or_default().push((labels.clone(), id.clone()));
                }
            }
        }
    }

    /// What an object comes after.
    pub(crate) fn of(&self, id: &ResourceId, object: &Value) -> Vec<ResourceId> {
        let mut found = BTreeSet::new();
        let namespace = id.namespace.as_deref();
        found.extend(namespace.and_then(|namespace| self.get("Namespace", None, namespace)));
        found.extend(self.definitions.get(&*id.kind));
        if !SILENT.contains(&&*id.kind) {
            self.named(object, &mut Vec::new(), namespace, &mut found);
        }
        found.extend(self.annotated(id, object));
        if let Some(reference) = object.get("roleRef") {
            let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = format!("{}.rbac.authorization.k8s.io", text("kind"));
            found.extend(self.get(&kind, namespace.filter(|_| text("kind") == "Role"), text("name")));
        }
        if let Some(template) = template(id, object) {
            let account = template.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
            found.extend(self.bindings.get(&(namespace.map(str::to_owned), account.to_owned())).into_iter().flatten());
            found.extend(self.limits.get(&namespace.map(str::to_owned)).into_iter().flatten());
        }
        self.serving(id, object, &mut found);
        let rank = |id: &ResourceId| shape::rank(&GroupKind::parse(&id.kind));
        let before = |other: &&ResourceId| rank(other) < rank(id);
        found.into_iter().filter(before).cloned().collect()
    }

    /// The objects that its annotations name.
    fn annotated<'o>(&'o self, id: &ResourceId, object: &Value) -> impl Iterator<Item = &'o ResourceId> {
        let annotations = object.pointer("/metadata/annotations");
        let named = ANNOTATIONS.iter().filter(|(of, ..)| *of == &*id.kind).filter_map(move |(_, annotation, kind)| {
            let name = annotations?.get(annotation)?.as_str()?;
            self.get(kind, id.namespace.as_deref(), name).or_else(|| self.get(kind, None, name))
        });
        named.collect::<Vec<_>>().into_iter()
    }

    fn get(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<&ResourceId> {
        self.objects.get(&(kind.to_owned(), namespace.map(str::to_owned), name.to_owned()))
    }

    /// Everything that a field names, in the object's own namespace or in none.
    fn named<'o>(&'o self, value: &'o Value, names: &mut Vec<&'o str>, namespace: Option<&str>, out: &mut BTreeSet<&'o ResourceId>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    names.push(key);
                    self.named(value, names, namespace, out);
                    names.pop();
                }
            }
            Value::Array(list) => list.iter().for_each(|item| self.named(item, names, namespace, out)),
            Value::String(name) => {
                if let Some(kind) = references::any(names) {
                    out.extend(self.get(kind, namespace, name).or_else(|| self.get(kind, None, name)));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// What answers for the API: the Services that a webhook or an API service calls, and what runs behind them.
    fn serving<'o>(&'o self, id: &ResourceId, object: &Value, out: &mut BTreeSet<&'o ResourceId>) {
        let services: Vec<&Value> = match id.kind.split_once('.') {
            Some(("ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration", _)) => {
                let webhooks = object.get("webhooks").and_then(Value::as_array).into_iter().flatten();
                webhooks.filter_map(|webhook| webhook.pointer("/clientConfig/service")).collect()
            }
            Some(("APIService", _)) => object.pointer("/spec/service").into_iter().collect(),
            _ => return,
        };
        for service in services {
            let text = |key: &str| service.get(key).and_then(Value::as_str);
            let Some(name) = text("name") else { continue };
            let within = text("namespace").filter(|namespace| *namespace != self.own);
            let Some(service) = self.get("Service", within, name) else { continue };
            out.insert(service);
            let Some(Value::Object(selector)) = self.selectors.get(service) else { continue };
            let namespace = service.namespace.as_deref().map(str::to_owned);
            let selected = |labels: &Value| !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value));
            let workloads = self.workloads.get(&namespace).into_iter().flatten();
            out.extend(workloads.filter(|(labels, _)| selected(labels)).map(|(_, id)| id));
        }
    }
}

/// The pod of what runs one, or makes them.
fn template<'o>(id: &ResourceId, object: &'o Value) -> Option<&'o Value> {
    match &*id.kind {
        "Pod" => Some(object),
        "CronJob.batch" => object.pointer("/spec/jobTemplate/spec/template"),
        kind => kind.split_once('.').filter(|(_, group)| ["apps", "batch"].contains(group)).and_then(|_| object.pointer("/spec/template")),
    }
}
