//! Fields of which only one may be there, and the live ones that a change must remove beside those that it declares.
//!
//! Server-side apply removes a field together with everything in it as soon as one field in it was ours. It leaves a field of which
//! we never wrote anything: the API server has filled it in (`strategy.rollingUpdate` of a Deployment that declares no strategy,
//! `emptyDir` of a volume without a source). With `strategy: { type: Recreate }` the API server then refuses both. So these fields
//! have to be found on the live object.
//!
//! The same goes for a value that follows from a field beside (`policyTypes` from `egress`): it would stay when that field changes.
//!
//! A table by the names of types: a field of the same name in a custom resource, in the schema of a definition or among labels is none
//! of these.
//!
//! Source: validation and defaulting of `k8s.io/kubernetes` (1.34), and `x-kubernetes-unions` in its OpenAPI v3. Unions in lists
//! without keys (projections, `envFrom`, metrics, subjects, the backends of an Ingress's rules) are not here: such a list is replaced
//! as a whole.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;

use super::project;
use super::segment;
use crate::types::Type;

/// How the fields of one object exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Union {
    /// Only one of these may be there.
    OneOf(&'static [&'static str]),
    /// Only one of all fields but these may be there.
    OneBeside(&'static [&'static str]),
    /// The value of one field says which others may be there.
    By(&'static Discriminator),
    /// Two names of one field: the API server fills in the one with the value of the other.
    Alias { name: &'static str, alias: &'static str },
    /// The API server fills in `policyTypes` by whether there is `egress`.
    PolicyTypes,
}

/// A field that says which other fields may be there.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Discriminator {
    field: &'static str,
    /// The value that the API server fills in.
    default: &'static str,
    /// A field, and the value that it goes with.
    members: &'static [(&'static str, &'static str)],
}

const HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// The sources of a PersistentVolume (`PersistentVolumeSource`).
const VOLUMES: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

const STRATEGY: Discriminator = Discriminator { field: "type", default: "RollingUpdate", members: &[("rollingUpdate", "RollingUpdate")] };
const PROFILE: Discriminator = Discriminator { field: "type", default: "", members: &[("localhostProfile", "Localhost")] };
const PRIORITY: Discriminator = Discriminator { field: "type", default: "", members: &[("exempt", "Exempt"), ("limited", "Limited")] };
const LIMIT: Discriminator = Discriminator { field: "type", default: "", members: &[("queuing", "Queue")] };
const AFFINITY: Discriminator =
    Discriminator { field: "sessionAffinity", default: "None", members: &[("sessionAffinityConfig", "ClientIP")] };
const CONVERSION: Discriminator = Discriminator { field: "strategy", default: "None", members: &[("webhook", "Webhook")] };

/// The union that a field of this type takes part in, as a member of it or as its discriminator.
fn union(of: Type, field: &str) -> Option<Union> {
    let one_of = |members: &'static [&'static str]| members.contains(&field).then_some(Union::OneOf(members));
    let by = |of: &'static Discriminator| (of.field == field).then_some(Union::By(of));
    let (package, name) = of.name()?.split_once('.')?;
    match (package.split('/').next()?, name) {
        ("core", "Probe" | "LifecycleHandler") => one_of(HANDLERS),
        ("networking", "NetworkPolicySpec") => ["egress", "policyTypes"].contains(&field).then_some(Union::PolicyTypes),
        ("core", "Volume") => is_field(field).then_some(Union::OneBeside(&["name"])),
        ("core", "PersistentVolumeSpec") => one_of(VOLUMES),
        ("core", "EnvVar") => one_of(&["value", "valueFrom"]),
        ("core", "EnvVarSource") => is_field(field).then_some(Union::OneBeside(&[])),
        ("core", "SeccompProfile" | "AppArmorProfile") => by(&PROFILE),
        ("core", "ServiceSpec") => by(&AFFINITY),
        ("core", "PodSpec") if ["serviceAccountName", "serviceAccount"].contains(&field) => {
            Some(Union::Alias { name: "serviceAccountName", alias: "serviceAccount" })
        }
        ("apps", "DeploymentStrategy" | "DaemonSetUpdateStrategy" | "StatefulSetUpdateStrategy") => by(&STRATEGY),
        ("policy", "PodDisruptionBudgetSpec") => one_of(&["minAvailable", "maxUnavailable"]),
        ("networking", "IngressBackend") => one_of(&["service", "resource"]),
        ("networking", "ServiceBackendPort") => one_of(&["name", "number"]),
        ("flowcontrol", "PriorityLevelConfigurationSpec") => by(&PRIORITY),
        ("flowcontrol", "LimitResponse") => by(&LIMIT),
        ("apiextensions", "CustomResourceConversion") => by(&CONVERSION),
        ("admissionregistration" | "apiextensions", "WebhookClientConfig") => one_of(&["service", "url"]),
        _ => None,
    }
}

/// The unions on the path of a field of an object of this type, each with the count of the segments that lead to it.
fn unions(of: Type, segments: &[&str]) -> Vec<(usize, Union)> {
    let mut out = Vec::new();
    let mut within = of;
    for (at, segment) in segments.iter().enumerate() {
        out.extend(union(within, segment).map(|union| (at, union)));
        // A list without keys is replaced as a whole.
        if matches!(segment::parse(segment), Some(segment::Element::At(_))) {
            break;
        }
        within = within.step(segment);
    }
    out
}

fn is_field(segment: &str) -> bool {
    ![segment::EMPTY_OBJECT, segment::EMPTY_LIST, segment::ORDER].contains(&segment)
}

/// The live fields that have to go for what is declared, whoever wrote them. `before` has the paths that are ours to say. Each is a
/// path as in documents: `spec`, `strategy`, `rollingUpdate`. `of` is the type of the object.
pub(crate) fn going<'a>(of: Type, declared: &Document, before: impl Iterator<Item = &'a Path>, live: &Value) -> Vec<Vec<String>> {
    let before: BTreeSet<&Path> = before.collect();
    let gone = before.iter().copied().filter(|path| declared.get(path).is_none());
    let mut found: BTreeSet<(Vec<&str>, Union)> = BTreeSet::new();
    for path in declared.leaves().iter().map(|(path, _)| path).chain(gone) {
        let segments: Vec<&str> = path.segments().collect();
        found.extend(unions(of, &segments).into_iter().map(|(at, union)| (segments[..at].to_vec(), union)));
    }
    let mut out: Vec<Vec<String>> = Vec::new();
    for (object, union) in found {
        let Some(there) = project::at(live, &object).and_then(Value::as_object) else { continue };
        let around = Around { declared, before: &before, object: &object, there };
        let members = around.going(union);
        out.extend(members.into_iter().map(|member| object.iter().copied().chain([member]).map(str::to_owned).collect()));
    }
    out
}

/// Whether anything that is declared takes part in a union. `of` is the type of the object.
pub(crate) fn has_any(of: Type, declared: &Document) -> bool {
    declared.leaves().iter().any(|(path, _)| !unions(of, &path.segments().collect::<Vec<_>>()).is_empty())
}

/// One object with a union.
struct Around<'a> {
    declared: &'a Document,
    before: &'a BTreeSet<&'a Path>,
    object: &'a [&'a str],
    /// The live object.
    there: &'a Map<String, Value>,
}

impl<'a> Around<'a> {
    fn going(&self, union: Union) -> Vec<&'a str> {
        match union {
            Union::OneOf(members) => self.beside(|field| members.contains(&field)),
            Union::OneBeside(others) => self.beside(|field| !others.contains(&field)),
            Union::By(by) => {
                let value = match self.declares(by.field) {
                    Some(Leaf::Text(value)) => value,
                    None if self.loses(by.field) => by.default,
                    // It is not known, or another manager says it.
                    _ => return vec![],
                };
                let goes = |field: &&str| by.members.iter().any(|(member, of)| member == field && *of != value);
                self.fields().filter(goes).collect()
            }
            Union::PolicyTypes => self.policy_types().into_iter().collect(),
            Union::Alias { name, alias } => self.fields().filter(|field| self.is_stale(field, name, alias)).collect(),
        }
    }

    /// The live members that are not declared, beside one that is.
    fn beside(&self, is_member: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let members: Vec<&str> = self.fields().filter(|field| is_member(field)).collect();
        let declares_one = self.below().any(|field| is_field(field) && is_member(field));
        members.into_iter().filter(|member| declares_one && !self.below().any(|field| field == *member)).collect()
    }

    /// `policyTypes` is removed where it has the default for the other case, with or without egress rules: the server then fills in the one
    /// that fits the declaration. Any other value was written by somebody.
    fn policy_types(&self) -> Option<&'static str> {
        let filled = |egress: bool| if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        let after = self.has_elements("egress");
        let is_said = self.below().any(|field| field == "policyTypes");
        (!is_said && self.there.get("policyTypes") == Some(&filled(!after))).then_some("policyTypes")
    }

    /// Whether a list is declared that has something in it.
    fn has_elements(&self, list: &str) -> bool {
        let at: Vec<&str> = self.object.iter().copied().chain([list]).collect();
        let is_element = |path: &Path| {
            let mut segments = path.segments();
            at.iter().all(|segment| segments.next() == Some(segment)) && segments.next().is_some_and(|next| next != segment::EMPTY_LIST)
        };
        self.declared.leaves().iter().any(|(path, _)| is_element(path))
    }

    /// `name` takes precedence over its alias; and where one of both is removed, the other would bring it back.
    fn is_stale(&self, field: &str, name: &str, alias: &str) -> bool {
        let other = match field {
            _ if field == name => alias,
            _ if field == alias => name,
            _ => return false,
        };
        match (self.declares(field), self.declares(other)) {
            (Some(_), _) => false,
            (None, Some(Leaf::Text(value))) => field == name && self.there.get(field).and_then(Value::as_str) != Some(value),
            (None, Some(_)) => false,
            (None, None) => self.loses(other),
        }
    }

    fn fields(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.there.keys().map(String::as_str)
    }

    /// The declared fields of the object.
    fn below(&self) -> impl Iterator<Item = &str> {
        let count = self.object.len();
        let is_within = move |path: &&Path| path.segments().take(count).eq(self.object.iter().copied());
        self.declared.leaves().iter().map(|(path, _)| path).filter(is_within).filter_map(move |path| path.segments().nth(count))
    }

    fn path(&self, field: &str) -> Path {
        Path::new(self.object.iter().copied().chain([field]))
    }

    fn declares(&self, field: &str) -> Option<&Leaf> {
        self.declared.get(&self.path(field))
    }

    /// Whether it was ours to say, and is not declared any more.
    fn loses(&self, field: &str) -> bool {
        self.before.contains(&self.path(field)) && self.declares(field).is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::desired::{Identity, document};

    fn object(spec: &Value) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": spec })
    }

    /// The fields that go where one object is ours to say, one is live, and one is declared.
    fn gone_of(ours: &Value, live: &Value, declared: &Value) -> Vec<String> {
        let document = |object: &Value| document(&Identity::of(object).unwrap(), object).unwrap();
        let (ours, declared) = (document(ours), document(declared));
        let gone = going(Type::of_object(live), &declared, ours.leaves().iter().map(|(path, _)| path), live);
        gone.iter().map(|path| path.join(".")).collect()
    }

    /// The same of Deployments, by their specifications.
    fn gone(ours: &Value, live: &Value, declared: &Value) -> Vec<String> {
        let gone = gone_of(&object(ours), &object(live), &object(declared));
        gone.iter().map(|path| path.strip_prefix("spec.").unwrap_or(path).to_owned()).collect()
    }

    #[test]
    fn nothing_goes_where_nothing_is_declared() {
        let live = json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } } });
        assert_eq!(gone(&json!({}), &json!({}), &json!({})), [""; 0]);
        assert_eq!(gone(&json!({}), &live, &json!({})), [""; 0]);
        assert_eq!(gone(&live, &live, &live), [""; 0]);
    }

    #[test]
    fn a_live_member_goes_beside_a_declared_one_whoever_wrote_it() {
        let live = json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } } });
        assert_eq!(gone(&json!({}), &live, &json!({ "strategy": { "type": "Recreate" } })), ["strategy.rollingUpdate"]);
        assert_eq!(gone(&json!({}), &live, &json!({ "strategy": { "rollingUpdate": { "maxSurge": 2 } } })), [""; 0]);
        let pod = |volume: Value, probe: Value| {
            let container = json!({ "name": "web", "readinessProbe": probe });
            json!({ "template": { "spec": { "volumes": [volume], "containers": [container] } } })
        };
        let live = pod(json!({ "name": "v", "emptyDir": {} }), json!({ "periodSeconds": 1, "httpGet": { "port": 1, "path": "/" } }));
        let wanted = pod(json!({ "name": "v", "configMap": { "name": "c" } }), json!({ "tcpSocket": { "port": 1 } }));
        let members = ["template.spec.containers.[name=web].readinessProbe.httpGet", "template.spec.volumes.[name=v].emptyDir"];
        assert_eq!(gone(&json!({}), &live, &wanted), members);
        // A volume without a source gets one, and a probe without a handler is not ours to complete.
        assert_eq!(gone(&json!({}), &live, &pod(json!({ "name": "v" }), json!({ "periodSeconds": 2 }))), [""; 0]);
    }

    #[test]
    fn a_discriminator_that_is_removed_has_its_default() {
        let service = |spec: Value| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" }, "spec": spec });
        let live = service(json!({ "sessionAffinity": "ClientIP", "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 1 } } }));
        let ours = service(json!({ "sessionAffinity": "ClientIP" }));
        assert_eq!(gone_of(&ours, &live, &service(json!({}))), ["spec.sessionAffinityConfig"]);
        // Another manager says it.
        assert_eq!(gone_of(&service(json!({})), &live, &service(json!({}))), [""; 0]);
    }

    #[test]
    fn the_other_name_of_a_field_does_not_bring_it_back() {
        let pod = |spec: Value| json!({ "template": { "spec": spec } });
        let live = pod(json!({ "serviceAccountName": "a", "serviceAccount": "a" }));
        let (new, old) = (|name: &str| pod(json!({ "serviceAccountName": name })), |name: &str| pod(json!({ "serviceAccount": name })));
        assert_eq!(gone(&new("a"), &live, &pod(json!({}))), ["template.spec.serviceAccount"]);
        assert_eq!(gone(&old("a"), &live, &pod(json!({}))), ["template.spec.serviceAccountName"]);
        assert_eq!(gone(&old("a"), &live, &old("b")), ["template.spec.serviceAccountName"]);
        assert_eq!(gone(&old("a"), &live, &old("a")), [""; 0]);
        assert_eq!(gone(&new("a"), &live, &new("b")), [""; 0]);
    }

    /// The API server fills `policyTypes` in when a policy is made, and leaves it as it is when the egress rules change.
    #[test]
    fn what_follows_from_another_field_goes_when_that_changes() {
        let policy = |spec: Value| json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "web" }, "spec": spec });
        let (rules, both, one) = (json!([{ "ports": [{ "port": 53 }] }]), json!(["Ingress", "Egress"]), json!(["Ingress"]));
        let ours = policy(json!({ "egress": rules }));
        let live = policy(json!({ "egress": rules, "policyTypes": both }));
        let without = policy(json!({ "podSelector": {} }));
        assert_eq!(gone_of(&ours, &live, &without), ["spec.policyTypes"]);
        assert_eq!(gone_of(&ours, &live, &policy(json!({ "egress": [] }))), ["spec.policyTypes"]);
        assert_eq!(gone_of(&ours, &live, &ours), [""; 0]);
        assert_eq!(gone_of(&without, &policy(json!({ "policyTypes": one })), &ours), ["spec.policyTypes"]);
        // It is said, or somebody said it.
        assert_eq!(gone_of(&ours, &live, &policy(json!({ "policyTypes": both }))), [""; 0]);
        assert_eq!(gone_of(&ours, &policy(json!({ "egress": rules, "policyTypes": ["Egress"] })), &without), [""; 0]);
    }

    /// A kind, where something is that looks like a union, what is there, and what is declared in its place.
    #[test]
    fn fields_of_other_types_that_have_the_same_names_are_no_unions() {
        let (url, service) = (json!({ "url": "https://a" }), json!({ "service": { "name": "a" } }));
        let (recreate, rolling) = (json!({ "type": "Recreate" }), json!({ "type": "RollingUpdate", "rollingUpdate": {} }));
        let (tcp, http) = (json!({ "tcpSocket": { "port": 1 } }), json!({ "httpGet": { "port": 1 } }));
        let (config, empty) = (json!({ "name": "v", "configMap": { "name": "c" } }), json!({ "name": "v", "emptyDir": {} }));
        let text = |key: &str| json!({ key: "x" });
        let definition = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        let schema = &["spec", "versions", "[0]", "schema", "openAPIV3Schema"];
        let within = |path: &[&'static str]| [&schema[..], path].concat();
        let custom = ("operator.example/v1", "Thing");
        let cases = [
            (definition, within(&["properties", "clientConfig"]), service.clone(), url.clone()),
            (definition, within(&["default", "strategy"]), rolling.clone(), recreate.clone()),
            (definition, within(&["example", "readinessProbe"]), http.clone(), tcp.clone()),
            (custom, vec!["spec", "clientConfig"], service, url),
            (custom, vec!["spec", "strategy"], rolling, recreate),
            (custom, vec!["spec", "template", "spec", "readinessProbe"], http, tcp),
            (custom, vec!["spec", "volumes", "[0]"], empty, config),
            (custom, vec!["spec"], json!({ "minAvailable": 1 }), json!({ "maxUnavailable": 1 })),
            (custom, vec!["spec", "template", "spec"], text("serviceAccount"), text("serviceAccountName")),
            (("apps/v1", "Deployment"), vec!["spec"], json!({ "minAvailable": 1 }), json!({ "maxUnavailable": 1 })),
            (("v1", "ConfigMap"), vec!["data"], text("url"), text("service")),
            (("v1", "ConfigMap"), vec!["metadata", "labels"], text("httpGet"), text("tcpSocket")),
            (("v1", "ConfigMap"), vec!["metadata", "annotations"], text("minAvailable"), text("maxUnavailable")),
            (("v1", "Service"), vec!["spec", "selector"], text("serviceAccount"), text("serviceAccountName")),
        ];
        for ((api_version, kind), path, live, declared) in cases {
            let whole = |value: &Value| {
                let around = |value, segment: &&str| if *segment == "[0]" { json!([value]) } else { json!({ *segment: value }) };
                let mut object = path.iter().rev().fold(value.clone(), around);
                object["apiVersion"] = api_version.into();
                object["kind"] = kind.into();
                object["metadata"]["name"] = "a".into();
                object
            };
            let (live, declared) = (whole(&live), whole(&declared));
            assert_eq!(gone_of(&live, &live, &declared), [""; 0], "{kind} {path:?}");
        }
    }
}
