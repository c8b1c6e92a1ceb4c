//! The file is the measure: the live object holds what a file declares. kubectl reads the file and the object, so that nothing of
//! ours stands between the two.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stratos_test_platforms::Cluster;

/// A declared value and what the live object has in its place.
pub struct Pair<'a> {
    /// The declared object.
    pub object: &'a Value,
    /// Its kind, without the group.
    pub kind: &'a str,
    /// Whether the kind comes with each cluster, so that its objects are stored by a type of Go.
    pub is_built_in: bool,
    /// The keys from the object down to the value; elements of lists by their number in the file.
    pub path: &'a [String],
    pub declared: &'a Value,
    pub live: Option<&'a Value>,
}

impl Pair<'_> {
    fn ends_in(&self, ends: &[&str]) -> bool {
        let at = self.path.len().checked_sub(ends.len());
        at.is_some_and(|at| self.path[at..].iter().zip(ends).all(|(key, end)| *end == "*" || key == end))
    }

    fn is_in(&self, key: &str) -> bool {
        self.path.iter().any(|step| step == key)
    }
}

/// A pair that differs and declares the same all the same.
pub struct Exception {
    pub reason: &'static str,
    pub covers: fn(&Pair<'_>) -> bool,
}

/// All of them. An entry covers a kind of values and not an example, and says why.
pub const EXCEPTIONS: &[Exception] = &[
    Exception { reason: "null declares nothing: the server drops it, or fills in a default", covers: |pair| pair.declared.is_null() },
    Exception {
        reason: "the status of an object is its controller's, and is dropped where it is declared",
        covers: |pair| pair.path == ["status"] || pair.ends_in(&["volumeClaimTemplates", "*", "status"]),
    },
    Exception {
        reason: "a zero value of a built-in kind is not stored where its type says `omitempty`; a definition's schema is data",
        covers: |pair| pair.is_built_in && pair.live.is_none_or(Value::is_null) && is_zero(pair.declared) && !pair.is_in("openAPIV3Schema"),
    },
    Exception {
        reason: "the server stores a quantity in its shortest form",
        covers: |pair| is_quantity(pair) && pair.live.is_some_and(|live| amount(live).is_some() && amount(live) == amount(pair.declared)),
    },
    Exception {
        reason: "the server rounds up a resource that is finer than a thousandth",
        covers: |pair| {
            let [declared, live] = [Some(pair.declared), pair.live].map(|value| value.and_then(amount));
            is_quantity(pair) && pair.is_in("resources") && declared.map(|amount| (amount * 1e3).ceil() / 1e3) == live && live.is_some()
        },
    },
    Exception {
        reason: "the rules of a ClusterRole with an aggregationRule are its controller's",
        covers: |pair| pair.kind == "ClusterRole" && pair.path == ["rules"] && pair.object["aggregationRule"].is_object(),
    },
    Exception {
        reason: "an image is pinned to the digest that its tag had",
        covers: |pair| {
            let (declared, live) = (pair.declared.as_str(), pair.live.and_then(Value::as_str));
            pair.ends_in(&["image"]) && declared.zip(live).is_some_and(|(tag, pinned)| pinned.starts_with(&format!("{tag}@sha256:")))
        },
    },
    Exception {
        reason: "an object outside of namespaces has none, whatever it declares",
        covers: |pair| pair.path == ["metadata", "namespace"] && pair.live.is_none(),
    },
    Exception {
        reason: "base64 has several spellings of the same bytes, and line breaks in it mean nothing",
        covers: |pair| {
            pair.kind == "Secret" && pair.path.len() == 2 && pair.path[0] == "data" && decoded(Some(pair.declared)) == decoded(pair.live)
        },
    },
];

/// The lists whose elements have keys, by their last key and the name of their element, and by which.
const KEYED: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("imagePullSecrets", &["name"]),
    ("hostAliases", &["ip"]),
    ("webhooks", &["name"]),
    ("validations", &["name"]),
    ("ownerReferences", &["uid"]),
];

/// Everything of a file that the live objects do not hold, `Kind name: path: declared …, live …`; and `kubectl: …` where it does
/// not read the whole file.
pub fn differences(cluster: &Cluster, kubeconfig: &Path, file: &Path) -> Vec<String> {
    let kubectl = |words: &[&str]| {
        let (kubeconfig, file) = (format!("--kubeconfig={}", kubeconfig.display()), format!("--filename={}", file.display()));
        let output = cluster.try_kubectl(&[words, &["--output=json", &kubeconfig, &file]].concat());
        let why = (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
        (objects(&output.stdout), why)
    };
    let (declared, why) = kubectl(&["create", "--dry-run=client", "--validate=false"]);
    let mut out: Vec<String> = why.into_iter().map(|why| format!("kubectl: {why}")).collect();
    if declared.is_empty() {
        return out;
    }
    let (live, why) = kubectl(&["get"]);
    for object in &declared {
        let lines = match live.iter().find(|live| is_counterpart(object, live)) {
            Some(live) => unheld(object, live),
            None => vec![format!("it is not there: {}", why.as_deref().unwrap_or_default())],
        };
        let name = format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
        out.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
    }
    out
}

/// Everything of a declared object that the live one does not hold.
pub fn unheld(declared: &Value, live: &Value) -> Vec<String> {
    let kind = text(&declared["kind"]);
    let group = text(&declared["apiVersion"]).split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    let is_built_in = !group.contains('.') || group.ends_with(".k8s.io");
    let mut comparison = Comparison { object: declared, kind: &kind, is_built_in, path: Vec::new(), out: Vec::new() };
    comparison.compare(&with_text_as_data(declared), Some(live));
    comparison.out
}

/// A Secret's `stringData` is written and never read: it is found again in `data`.
fn with_text_as_data(declared: &Value) -> Value {
    let mut declared = declared.clone();
    let is_secret = declared["kind"] == "Secret" && declared["apiVersion"] == "v1";
    if let Some(texts) = is_secret.then(|| declared.as_object_mut()?.remove("stringData")).flatten() {
        for (key, value) in texts.as_object().into_iter().flatten() {
            declared["data"][key] = json!(STANDARD.encode(text(value)));
        }
    }
    declared
}

struct Comparison<'a> {
    object: &'a Value,
    kind: &'a str,
    is_built_in: bool,
    path: Vec<String>,
    out: Vec<String>,
}

impl Comparison<'_> {
    fn compare(&mut self, declared: &Value, live: Option<&Value>) {
        let pair = Pair { object: self.object, kind: self.kind, is_built_in: self.is_built_in, path: &self.path, declared, live };
        if Some(declared) == live || EXCEPTIONS.iter().any(|exception| (exception.covers)(&pair)) {
            return;
        }
        match (declared, live) {
            (Value::Object(map), Some(Value::Object(live))) => {
                for (key, value) in map {
                    self.below(key, value, live.get(key));
                }
            }
            (Value::Array(list), Some(Value::Array(live))) => self.list(list, live),
            // All that is in a map may be what is not stored: `resources: { limits: {} }`.
            (Value::Object(map), None) if self.is_built_in && !map.is_empty() => {
                for (key, value) in map {
                    self.below(key, value, None);
                }
            }
            _ => {
                let live = live.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                self.out.push(format!("{}: declared {declared}, live {live}", self.path.join(".")));
            }
        }
    }

    fn below(&mut self, key: &str, declared: &Value, live: Option<&Value>) {
        self.path.push(key.to_owned());
        self.compare(declared, live);
        self.path.pop();
    }

    fn list(&mut self, declared: &[Value], live: &[Value]) {
        let declared: Vec<&Value> = declared.iter().filter(|element| !element.is_null()).collect();
        let keys = self.keys();
        if keys.is_none() && declared.len() != live.len() {
            self.out.push(format!("{}: declared {} elements, live {}", self.path.join("."), declared.len(), live.len()));
        }
        for (number, element) in declared.into_iter().enumerate() {
            let counterpart = match &keys {
                Some(keys) => live.iter().find(|live| is_same(keys, element, live)),
                None => live.get(number),
            };
            self.below(&number.to_string(), element, counterpart);
        }
    }

    /// The keys of the elements of the list at this path, where it has any. No key: the element itself.
    fn keys(&self) -> Option<&'static [&'static str]> {
        let last = self.path.last().map(String::as_str).unwrap_or_default();
        match last {
            _ if !self.is_built_in && self.path.first().is_none_or(|first| first != "metadata") => None,
            _ if self.path.iter().any(|step| step == "openAPIV3Schema") => None,
            "finalizers" => Some(&[]),
            "ports" if self.kind == "Service" => Some(&["port", "protocol"]),
            "ports" if self.path.iter().any(|step| step.ends_with("ontainers")) => Some(&["containerPort", "protocol"]),
            _ => KEYED.iter().find(|(list, _)| *list == last).map(|(_, keys)| *keys),
        }
    }
}

/// Whether two elements of a keyed list are the same one. A protocol that is not declared is TCP.
fn is_same(keys: &[&str], declared: &Value, live: &Value) -> bool {
    let value = |element: &Value, key: &str| match (&element[key], key) {
        (Value::Null, "protocol") => json!("TCP"),
        (value, _) => value.clone(),
    };
    if keys.is_empty() { declared == live } else { keys.iter().all(|key| value(declared, key) == value(live, key)) }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Whether the type of the field is `resource.Quantity`.
fn is_quantity(pair: &Pair<'_>) -> bool {
    let last = pair.path.last().map(String::as_str).unwrap_or_default();
    let before = pair.path.len().checked_sub(2).map(|at| pair.path[at].as_str()).unwrap_or_default();
    let in_resources = pair.is_in("resources") && ["limits", "requests"].contains(&before);
    pair.is_built_in
        && match pair.kind {
            "ConfigMap" | "Secret" | "CustomResourceDefinition" => false,
            "ResourceQuota" => before == "hard",
            "LimitRange" => ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"].contains(&before),
            "HorizontalPodAutoscaler" => ["averageValue", "value"].contains(&last) && pair.is_in("metrics"),
            "PersistentVolume" => before == "capacity",
            _ => {
                in_resources
                    || before == "overhead"
                    || pair.ends_in(&["emptyDir", "sizeLimit"])
                    || pair.ends_in(&["resourceFieldRef", "divisor"])
            }
        }
}

/// The number of a quantity: `1024Mi` and `1Gi` are the same.
fn amount(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    let units = [
        ("Ki", 2f64.powi(10)),
        ("Mi", 2f64.powi(20)),
        ("Gi", 2f64.powi(30)),
        ("Ti", 2f64.powi(40)),
        ("Pi", 2f64.powi(50)),
        ("Ei", 2f64.powi(60)),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let (number, unit) = units.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

fn decoded(value: Option<&Value>) -> Option<Vec<u8>> {
    let text: String = value?.as_str()?.chars().filter(|character| !character.is_whitespace()).collect();
    STANDARD.decode(text).ok()
}

/// The objects that kubectl printed: one after the other, or in a list.
fn objects(printed: &[u8]) -> Vec<Value> {
    let values = serde_json::Deserializer::from_slice(printed).into_iter::<Value>().map_while(Result::ok);
    let items = |mut value: Value| match value["kind"] == "List" {
        true => value["items"].as_array_mut().map(std::mem::take).unwrap_or_default(),
        false => vec![value],
    };
    values.flat_map(items).collect()
}

fn is_counterpart(declared: &Value, live: &Value) -> bool {
    let [declared_in, live_in] = [declared, live].map(|object| &object["metadata"]["namespace"]);
    declared["kind"] == live["kind"]
        && declared["metadata"]["name"] == live["metadata"]["name"]
        && (live_in.is_null() || declared_in.is_null() || live_in == declared_in)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_value_that_the_live_object_does_not_hold_is_found() {
    let deployment = |container: Value| json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "template": { "spec": { "containers": [container] } } } });
    let of = |container: Value, live: Value| unheld(&deployment(container), &deployment(live));
    let custom = |spec: Value| json!({ "apiVersion": "a.example/v1", "kind": "A", "spec": spec });
    let data = |kind: &str, data: Value| json!({ "apiVersion": "v1", "kind": kind, "data": data });
    for (found, path) in [
        (of(json!({ "name": "a", "image": "b" }), json!({ "name": "a", "image": "c" })), "spec.template.spec.containers.0.image"),
        (of(json!({ "name": "a", "args": ["1000m"] }), json!({ "name": "a", "args": ["1"] })), "args.0"),
        (of(json!({ "name": "a" }), json!({ "name": "b" })), "spec.template.spec.containers.0"),
        (of(json!({ "name": "a", "resources": { "limits": { "cpu": 1 } } }), json!({ "name": "a" })), "resources.limits.cpu"),
        (unheld(&custom(json!({ "on": false })), &custom(json!({}))), "spec.on"),
        (unheld(&custom(json!({ "limits": { "cpu": "1000m" } })), &custom(json!({ "limits": { "cpu": "1" } }))), "spec.limits.cpu"),
        (unheld(&custom(json!({ "list": [1, 2] })), &custom(json!({ "list": [1] }))), "spec.list"),
        (unheld(&data("ConfigMap", json!({ "a": "1000m" })), &data("ConfigMap", json!({ "a": "1" }))), "data.a"),
        (unheld(&data("Secret", json!({ "a": "Yg==" })), &data("Secret", json!({ "a": "Yw==" }))), "data.a"),
    ] {
        assert!(found.iter().any(|line| line.contains(path)), "{path} is not among {found:?}");
    }
}

#[test]
fn a_value_that_is_spelled_in_another_way_is_held() {
    let limits = |cpu: Value| json!({ "name": "a", "resources": { "limits": { "cpu": cpu, "memory": "1024Mi" } } });
    let object = |containers: Value| json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": containers } });
    let live = json!([{ "name": "injected" }, { "name": "a", "resources": { "limits": { "cpu": "1", "memory": "1Gi" } } }]);
    for cpu in [json!(1), json!("1000m"), json!("1e0"), json!(1.0), json!("1000000u")] {
        assert_eq!(unheld(&object(json!([limits(cpu)])), &object(live.clone())), [""; 0]);
    }
    let empty = json!([{ "name": "a", "env": [], "stdin": false, "resources": { "requests": {} }, "lifecycle": null }]);
    assert_eq!(unheld(&object(empty), &object(live)), [""; 0]);
    let secret = |data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "data": data });
    let mut declared = secret(json!({ "b": "d2\nVi\n" }));
    declared["stringData"] = json!({ "a": "web" });
    assert_eq!(unheld(&declared, &secret(json!({ "a": "d2Vi", "b": "d2Vi" }))), [""; 0]);
}

#[test]
fn each_exception_has_a_reason_of_its_own() {
    let reasons: std::collections::BTreeSet<&str> = EXCEPTIONS.iter().map(|exception| exception.reason).collect();
    assert!(reasons.len() == EXCEPTIONS.len() && !reasons.contains(""));
}
