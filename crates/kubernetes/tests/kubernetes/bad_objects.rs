//! One object that the cluster refuses, or one kind that it cannot read, stops itself alone: at plan time and at apply, with the
//! cluster's words.

use stratos_engine::apply::ChangeResult;
use stratos_engine::plan::{HeldReason, Plan};
use stratos_engine::platform::contract::stage::{brief, told};
use stratos_test_platforms::Cluster;

use crate::apart::Apart;
use crate::declared::{Declared, Digests, changes, refused, results};

pub fn config_map(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: good }}\ndata: {{ a: {value} }}\n---\n")
}

fn deployment(name: &str, spec: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  replicas: 0\n  {spec}\n  \
         selector: {{ matchLabels: {{ app: {name} }} }}\n  template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    \
         spec: {{ containers: [{{ name: web, image: 'registry.example/web:1', {container} }}] }}\n---\n"
    )
}

/// Mistakes in a Deployment: its name here, `spec`, more of its container, and the cluster's words about it.
const MISTAKES: [(&str, &str, &str, &str); 7] = [
    ("misspelt", "minReadySecs: 5", "", ".spec.minReadySecs: field not declared in schema"),
    ("misspelt-deep", "", "lifecycle: { prestop: {} }", "field not declared in schema"),
    ("text-for-number", "minReadySeconds: soon", "", "expected numeric (int or float), got string"),
    ("table-for-list", "", "env: { A: b }", "expected list, got"),
    ("no-quantity", "", "resources: { limits: { cpu: fast } }", "quantities must match the regular expression"),
    ("negative", "revisionHistoryLimit: -1", "", "must be greater than or equal to 0"),
    ("missing", "", "ports: [{ name: http, containerPort: 70000 }]", "must be between 1 and 65535"),
];

fn with_mistakes() -> String {
    MISTAKES.iter().map(|(name, spec, container, _)| deployment(name, spec, container)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_cluster_refuses_blocks_that_object_alone() {
    let mut user = Declared::new("bo-typo");
    let good: String = MISTAKES.iter().map(|(name, ..)| deployment(name, "", "")).collect();
    user.says(&(config_map("b") + &good)).converge().await;
    user.says(&(config_map("c") + &with_mistakes()));
    let plan = user.plan().await;
    let refused = refused(&plan);
    for (name, _, _, words) in MISTAKES {
        let why = refused.get(name).unwrap_or_else(|| panic!("{name} is not blocked: {:#?}", brief(&plan)));
        assert!(why.starts_with("update: ") && why.contains(words), "{name}: {why}");
    }
    assert_eq!(changes(&plan), ["update ConfigMap/good"]);
    let applied = user.apply(&plan).await;
    assert!(matches!(results(&applied)["good"], ChangeResult::Done), "{}", told(&plan, &applied));
    assert_eq!(user.kubectl(&["get", "configmap", "good", "--output=jsonpath={.data.a}"]), "c");
    user.says(&(config_map("c") + &good)).nothing("without the mistakes").await;
    user.destroy().await;
}

/// Nothing is tried before it is there: the cluster's answer at apply is certain.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_refuses_at_its_creation_has_failed_and_is_not_unknown() {
    let mut user = Declared::new("bo-create");
    let volume = |mode: &str| {
        deployment("mode", "", "volumeMounts: [{ name: v, mountPath: /v }]")
            .replace("containers:", &format!("volumes: [{{ name: v, configMap: {{ name: x, defaultMode: {mode} }} }}], containers:"))
    };
    // The store takes 1.5 MiB, and a file has 1 MiB at most.
    let large = "x".repeat(900_000);
    let more = [
        ("mode", volume("'0755'"), "defaultMode: expected numeric"),
        (
            "plant-typo",
            "apiVersion: bo-create.example/v1\nkind: Plant\nmetadata: { name: plant-typo }\nspec: { sise: 1 }\n---\n".into(),
            ".spec.sise",
        ),
        (
            "plant-type",
            "apiVersion: bo-create.example/v1\nkind: Plant\nmetadata: { name: plant-type }\nspec: { size: a }\n---\n".into(),
            ".spec.size",
        ),
        (
            "plant-large",
            format!(
                "apiVersion: bo-create.example/v1\nkind: Plant\nmetadata: {{ name: plant-large }}\nspec: {{ tints: [&tint {large}, *tint] }}\n---\n"
            ),
            "request is too large",
        ),
        (
            "label",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: label, labels: { a: 'x y' } }\n---\n".into(),
            "a valid label must be",
        ),
        (
            "address",
            "apiVersion: v1\nkind: Service\nmetadata: { name: address }\nspec: { clusterIP: 1.2.3.4, ports: [{ port: 80 }] }\n---\n".into(),
            "failed to allocate IP",
        ),
    ];
    define("plants", "Plant", "bo-create.example", "size: { type: integer }, tints: { type: array, items: { type: string } }");
    let bad: String = more.iter().map(|(_, yaml, _)| yaml.as_str()).collect();
    user.says(&(config_map("b") + &with_mistakes() + &bad));
    let plan = user.plan().await;
    assert_eq!(plan.changes.len(), 1 + MISTAKES.len() + more.len(), "{:#?}", brief(&plan));
    let results = results(&user.apply(&plan).await);
    let words = MISTAKES.iter().map(|(name, _, _, words)| (*name, *words)).chain(more.iter().map(|(name, _, words)| (*name, *words)));
    for (name, words) in words {
        match &results[name] {
            ChangeResult::Failed { why, .. } => assert!(why.contains(words), "{name}: {why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(results["good"], ChangeResult::Done));
    user.destroy().await;
    undefine("plants.bo-create.example");
}

/// A kind of somebody else's, with one version.
fn define(plural: &str, kind: &str, group: &str, fields: &str) {
    let cluster = Cluster::shared_api_only();
    cluster.apply_yaml(&definition(plural, kind, group, &[("v1", true, fields)]));
    cluster.established(&format!("{plural}.{group}"));
}

fn undefine(name: &str) {
    Cluster::shared_api_only().kubectl(&["delete", "crd", name, "--ignore-not-found", "--wait=false"]);
}

/// The versions have a name, whether they are served, and the fields of `spec`; the last one is stored.
pub fn definition(plural: &str, kind: &str, group: &str, versions: &[(&str, bool, &str)]) -> String {
    let last = versions.len() - 1;
    let version = |(i, (name, served, fields)): (usize, &(&str, bool, &str))| {
        format!(
            "  - {{ name: {name}, served: {served}, storage: {}, schema: {{ openAPIV3Schema: {{ type: object, properties: {{ spec: {{ type: object, \
             properties: {{ {fields} }} }} }} }} }} }}\n",
            i == last
        )
    };
    let versions: String = versions.iter().enumerate().map(version).collect();
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: {plural}.{group} }}\nspec:\n  group: {group}\n  \
         names: {{ kind: {kind}, plural: {plural} }}\n  scope: Namespaced\n  versions:\n{versions}---\n"
    )
}

fn custom(group: &str, version: &str, kind: &str, spec: &str) -> String {
    format!("apiVersion: {group}/{version}\nkind: {kind}\nmetadata: {{ name: one }}\nspec: {{ {spec} }}\n---\n")
}

fn notes(plan: &Plan) -> String {
    plan.coverage.degraded.join("\n")
}

const SIZE: &str = "size: { type: integer, maximum: 5 }";

/// Each definition's group, its fields after the change, and a resource that needs the change.
const GAINS: [(&str, &str, &str); 4] = [
    ("bo-field.example", "size: { type: integer }, speed: { type: integer }", "size: 1, speed: 5"),
    ("bo-maximum.example", "size: { type: integer, maximum: 9 }", "size: 9"),
    ("bo-type.example", "size: { x-kubernetes-int-or-string: true }", "size: many"),
    (
        "bo-nested.example",
        "size: { type: integer }, more: { type: object, properties: { a: { type: string } } }",
        "size: 1, more: { a: b }",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_and_a_resource_that_needs_its_new_field_are_planned_and_applied_together() {
    // In one app, and in two of which the one with the definition is the later one by name.
    for (namespace, apart) in [("bo-together", false), ("bo-apart", true)] {
        let mut user = Declared::new(namespace);
        let group = |group: &str| if apart { format!("apart.{group}") } else { group.to_owned() };
        let say = |user: &mut Declared, value: &str, fields: &dyn Fn(usize) -> (&'static str, &'static str)| {
            let objects = GAINS.iter().enumerate().map(|(i, (of, ..))| {
                let (definition_of, spec) = fields(i);
                (definition("nets", "Net", &group(of), &[("v1", true, definition_of)]), custom(&group(of), "v1", "Net", spec))
            });
            let (definitions, resources): (Vec<String>, Vec<String>) = objects.unzip();
            let (definitions, resources) = (definitions.concat(), config_map(value) + &resources.concat());
            if apart {
                user.app("a", &resources).app("z", &definitions);
            } else {
                user.app("a", &(resources + &definitions));
            }
        };
        // New: the definitions are made first.
        say(&mut user, "b", &|_| (SIZE, "size: 1"));
        user.converge().await;
        say(&mut user, "c", &|i| (GAINS[i].1, GAINS[i].2));
        let plan = user.converge().await;
        assert_eq!(plan.changes.len(), 1 + 2 * GAINS.len(), "{:#?}", brief(&plan));
        for (of, ..) in GAINS {
            let said = format!("the definition of dev/Net.{}/one changes in the same plan", group(of));
            assert!(notes(&plan).contains(&said), "{}", notes(&plan));
        }
        user.destroy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_does_not_fit_its_changed_definition_fails_alone() {
    let mut user = Declared::new("bo-misfit");
    let one = |fields: &str, spec: &str| {
        definition("nets", "Net", "bo-misfit.example", &[("v1", true, fields)]) + &custom("bo-misfit.example", "v1", "Net", spec)
    };
    user.says(&(config_map("b") + &one(SIZE, "size: 1"))).converge().await;
    user.says(&(config_map("c") + &one("size: { type: integer }, speed: { type: integer }", "size: 1, sped: 5")));
    let plan = user.plan().await;
    assert!(plan.held.is_empty() && plan.changes.len() == 3, "{:#?}", brief(&plan));
    let applied = user.apply(&plan).await;
    let results = results(&applied);
    assert!(
        matches!(&results["one"], ChangeResult::Failed { why, .. } if why.contains(".spec.sped: field not declared")),
        "{}",
        told(&plan, &applied)
    );
    assert!(matches!(results["good"], ChangeResult::Done) && matches!(results["nets.bo-misfit.example"], ChangeResult::Done));
    // Now that the definition is there, it is said at plan time.
    let plan = user.plan().await;
    assert!(refused(&plan)["one"].contains(".spec.sped: field not declared") && plan.is_empty(), "{:#?}", brief(&plan));
    user.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_the_cluster_refuses_brings_nothing() {
    let mut user = Declared::new("bo-refused");
    let one = |fields: &str, spec: &str| {
        definition("nets", "Net", "bo-refused.example", &[("v1", true, fields)]) + &custom("bo-refused.example", "v1", "Net", spec)
    };
    user.says(&(config_map("b") + &one(SIZE, "size: 1"))).converge().await;
    user.says(&(config_map("c") + &one("size: { type: integer }, speed: { type: quick }", "size: 1, speed: 5")));
    let plan = user.plan().await;
    let refused = refused(&plan);
    assert!(refused["nets.bo-refused.example"].contains("Unsupported value: \"quick\""), "{refused:#?}");
    assert!(refused["one"].contains(".spec.speed: field not declared in schema"), "{refused:#?}");
    assert_eq!(changes(&plan), ["update ConfigMap/good"]);
    user.destroy().await;
}

fn uid(user: &Declared, what: &str) -> String {
    user.kubectl(&["get", what, "--output=jsonpath={.metadata.uid}"])
}

/// The versions in the entries of our applies.
fn applied_versions(user: &Declared, what: &str) -> String {
    let path = "--output=jsonpath={.metadata.managedFields[?(@.manager==\"stratos\")].apiVersion}";
    user.kubectl(&["get", what, "--show-managed-fields", path])
}

const OLD: &str = "size: { type: integer }, old: { type: string }";
const NEW: &str = "size: { type: integer }, tint: { type: string, default: green }";

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_whose_version_moves_is_the_same_object() {
    const GROUP: &str = "bo-version.example";
    type Versions<'a> = &'a [(&'a str, bool, &'a str)];
    let steps: [(Versions<'_>, &str, &str, &str); 7] = [
        (&[("v1alpha1", true, OLD)], "v1alpha1", "size: 1, old: x", r#"{"old":"x","size":1}"#),
        (&[("v1alpha1", true, OLD), ("v1", true, NEW)], "v1", "size: 1", r#"{"size":1,"tint":"green"}"#),
        // Its version before cannot hold it.
        (&[("v1alpha1", false, OLD), ("v1", true, NEW)], "v1", "size: 2, tint: red", r#"{"size":2,"tint":"red"}"#),
        (&[("v1", true, NEW)], "v1", "size: 3, tint: red", r#"{"size":3,"tint":"red"}"#),
        // And back, and to another one at once.
        (&[("v1", true, NEW), ("v1alpha1", true, OLD)], "v1alpha1", "size: 3, old: 'y'", r#"{"old":"y","size":3}"#),
        (&[("v1alpha1", false, OLD), ("v2", true, NEW)], "v2", "size: 4", r#"{"size":4,"tint":"green"}"#),
        (&[("v1alpha1", false, OLD), ("v2", true, NEW)], "v2", "tint: blue", r#"{"tint":"blue"}"#),
    ];
    let mut user = Declared::new("bo-version");
    let mut known = String::new();
    for (i, (versions, version, spec, live)) in steps.into_iter().enumerate() {
        user.says(&(definition("plants", "Plant", GROUP, versions) + &custom(GROUP, version, "Plant", spec)));
        // A version goes only after it is said that nothing is stored in it.
        if let Some(stored) = [(3, "v1"), (5, "v1alpha1")].iter().find_map(|(at, stored)| (*at == i).then_some(stored)) {
            let patch = format!(r#"{{"status":{{"storedVersions":["{stored}"]}}}}"#);
            user.kubectl(&["patch", "crd", "plants.bo-version.example", "--subresource=status", "--type=merge", "--patch", &patch]);
        }
        let plan = user.plan().await;
        let created = changes(&plan).iter().filter(|change| change.starts_with("create Plant")).count();
        assert_eq!(created, usize::from(i == 0), "step {i}: {:#?}", brief(&plan));
        user.converge().await;
        let what = format!("plants.{version}.{GROUP}/one");
        let now = uid(&user, &what);
        assert!(i == 0 || now == known, "step {i}: it is another object");
        known = now;
        assert_eq!(user.kubectl(&["get", &what, "--output=jsonpath={.spec}"]), live, "step {i}");
        assert_eq!(applied_versions(&user, &what), format!("{GROUP}/{version}"), "step {i}");
    }
    // Not by `destroy`: the garbage collector takes minutes to see an object whose version is new, and serves its foreground deletion
    // only then.
    user.kubectl(&["delete", "crd", "plants.bo-version.example", "--wait=false"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_one_kind_in_two_versions_are_each_read_in_their_own() {
    const GROUP: &str = "bo-versions.example";
    let mut user = Declared::new("bo-versions");
    // The server drops fields that the stored version does not have.
    let new = format!("{OLD}, tint: {{ type: string }}");
    let both = definition("plants", "Plant", GROUP, &[("v1alpha1", true, OLD), ("v1", true, &new)]);
    let two = |old: &str, tint: &str| {
        custom(GROUP, "v1", "Plant", &format!("tint: {tint}"))
            + &custom(GROUP, "v1alpha1", "Plant", &format!("old: {old}")).replace("one", "two")
    };
    user.says(&(both.clone() + &two("x", "red"))).converge().await;
    // YAML reads a bare `y` as a flag.
    user.says(&(both.clone() + &two("'y'", "blue")));
    let plan = user.converge().await;
    assert_eq!(changes(&plan), ["update Plant.bo-versions.example/one", "update Plant.bo-versions.example/two"]);
    user.destroy().await;
}

/// A HorizontalPodAutoscaler that scales on the load of the CPU.
fn scaler(name: &str, version: &str, maximum: u8, load: &[(&str, u8)]) -> String {
    let load: Vec<String> = match version {
        "v1" => load.iter().map(|(_, value)| format!("targetCPUUtilizationPercentage: {value}")).collect(),
        _ => {
            let metric = |(of, value): &(&str, u8)| {
                format!("{{ type: Resource, resource: {{ name: {of}, target: {{ type: Utilization, averageUtilization: {value} }} }} }}")
            };
            vec![format!("metrics: [{}]", load.iter().map(metric).collect::<Vec<_>>().join(", "))]
        }
    };
    format!(
        "apiVersion: autoscaling/{version}\nkind: HorizontalPodAutoscaler\nmetadata: {{ name: {name} }}\nspec: {{ maxReplicas: {maximum}, \
         scaleTargetRef: {{ apiVersion: apps/v1, kind: Deployment, name: web }}, {} }}\n---\n",
        load.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_built_in_kind_in_two_versions_are_each_read_in_their_own() {
    let mut user = Declared::new("bo-scalers");
    let both = |maximum: u8, load: u8| {
        scaler("old", "v1", maximum, &[("cpu", load)]) + &scaler("new", "v2", maximum, &[("cpu", load), ("memory", 60)])
    };
    user.says(&both(3, 50)).converge().await;
    user.says(&both(4, 70));
    let plan = user.converge().await;
    let both = ["new", "old"].map(|name| format!("update HorizontalPodAutoscaler.autoscaling/{name}"));
    assert_eq!(changes(&plan), both);
    assert_eq!(applied_versions(&user, "hpa/old") + " " + &applied_versions(&user, "hpa/new"), "autoscaling/v1 autoscaling/v2");
    user.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaler_moves_to_another_version_and_then_gains_what_the_one_before_cannot_say() {
    type Load = [(&'static str, u8)];
    // By name, what they scale on in the end.
    const ENDS: [(&str, &Load); 5] = [
        ("appended", &[("cpu", 50), ("memory", 60)]),
        ("changed", &[("cpu", 40), ("memory", 60)]),
        ("exchanged", &[("memory", 60)]),
        ("prepended", &[("memory", 60), ("cpu", 50)]),
        ("same", &[("cpu", 50)]),
    ];
    const CPU: &Load = &[("cpu", 50)];
    let mut user = Declared::new("bo-scaler-moves");
    let all = |version: &str, load: &dyn Fn(&'static Load) -> &'static Load| -> String {
        ENDS.iter().map(|(name, end)| scaler(name, version, 3, load(end))).collect()
    };
    let check = |user: &Declared, version: &str, load: &dyn Fn(&'static Load) -> &'static Load| {
        for (name, end) in ENDS {
            let what = format!("hpa.v2.autoscaling/{name}");
            assert_eq!(applied_versions(user, &what), format!("autoscaling/{version}"), "{name}");
            let path = "--output=jsonpath={range .spec.metrics[*]}{.resource.name}={.resource.target.averageUtilization} {end}";
            let expected: Vec<String> = load(end).iter().map(|(of, value)| format!("{of}={value}")).collect();
            assert_eq!(user.kubectl(&["get", &what, path]).trim(), expected.join(" "), "{name}");
        }
    };
    // In two steps, in one, and back.
    let steps: [(&str, &dyn Fn(&'static Load) -> &'static Load); 6] =
        [("v1", &|_| CPU), ("v2", &|_| CPU), ("v2", &|end| end), ("v2", &|_| CPU), ("v1", &|_| CPU), ("v2", &|end| end)];
    for (version, load) in steps {
        user.says(&all(version, load)).converge().await;
        check(&user, version, load);
    }
    user.destroy().await;
}

/// The old version has no place for a field: the server refuses every change until our entry is of the new version.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_version_that_cannot_hold_the_object_is_moved_and_no_other() {
    const GROUP: &str = "bo-entry.example";
    let cluster = Cluster::shared_api_only();
    // Without a default: where a write of the controller cannot be translated to the version of our entry, the server drops all entries.
    let new = NEW.replace(", default: green", "");
    cluster.apply_yaml(&definition("plants", "Plant", GROUP, &[("v1alpha1", true, OLD), ("v1", true, &new)]));
    cluster.established("plants.bo-entry.example");
    let mut user = Declared::new("bo-entry");
    user.says(&custom(GROUP, "v1alpha1", "Plant", "size: 1, old: x")).converge().await;
    let note = |version: &str, note: &str| {
        let what = format!("plants.{version}.{GROUP}/one");
        user.kubectl(&["annotate", &what, note, "--field-manager=controller", "--overwrite"]);
    };
    note("v1", "note=new");
    user.says(&custom(GROUP, "v1", "Plant", "size: 1, tint: red"));
    let plan = user.plan().await;
    assert!(
        plan.held.is_empty() && notes(&plan).contains("was applied as bo-entry.example/v1alpha1 before"),
        "{:#?} {}",
        brief(&plan),
        notes(&plan)
    );
    user.converge().await;
    let what = format!("plants.v1.{GROUP}/one");
    assert_eq!(user.kubectl(&["get", &what, "--output=jsonpath={.spec} {.metadata.annotations.note}"]), r#"{"size":1,"tint":"red"} new"#);
    let managers = user.kubectl(&["get", &what, "--show-managed-fields", "--output=jsonpath={.metadata.managedFields[*].manager}"]);
    assert!(managers.contains("controller") && managers.contains("stratos"), "{managers}");
    user.destroy().await;
    undefine("plants.bo-entry.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_version_is_not_moved_where_fields_may_have_other_names() {
    const GROUP: &str = "bo-webhook.example";
    let cluster = Cluster::shared_api_only();
    cluster.apply_yaml(&definition("plants", "Plant", GROUP, &[("v1alpha1", true, OLD), ("v1", true, NEW)]));
    cluster.established("plants.bo-webhook.example");
    let mut user = Declared::new("bo-webhook");
    // It is stored as v1, so that reading it as v1 asks no webhook.
    user.says(&(config_map("b") + &custom(GROUP, "v1alpha1", "Plant", "size: 1"))).converge().await;
    convert_by_webhook(Cluster::shared_api_only(), "plants.bo-webhook.example");
    user.says(&(config_map("c") + &custom(GROUP, "v1", "Plant", "size: 1, tint: red")));
    let plan = user.plan().await;
    let why = refused(&plan).remove("one").unwrap_or_else(|| panic!("{:#?}", brief(&plan)));
    for words in [
        "conversion webhook for bo-webhook.example/v1",
        "was applied as bo-webhook.example/v1alpha1 before",
        "apply it once as bo-webhook.example/v1",
        "`Webhook`",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert_eq!(changes(&plan), ["update ConfigMap/good"]);
    assert_eq!(applied_versions(&user, "plants.v1.bo-webhook.example/one"), "bo-webhook.example/v1alpha1");
    cluster.kubectl(&[
        "patch",
        "crd",
        "plants.bo-webhook.example",
        "--type=merge",
        "--patch",
        r#"{"spec":{"conversion":{"strategy":"None","webhook":null}}}"#,
    ]);
    user.destroy().await;
    undefine("plants.bo-webhook.example");
}

/// A schema says that each element is there once; nothing else knows it of a kind of somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn an_element_twice_in_a_set_stops_that_object_alone() {
    const GROUP: &str = "bo-set.example";
    define("plants", "Plant", GROUP, "tags: { type: array, x-kubernetes-list-type: set, items: { type: string } }");
    let mut user = Declared::new("bo-set");
    let plant = |name: &str, tags: &str| custom(GROUP, "v1", "Plant", &format!("tags: [{tags}]")).replace("one", name);
    user.says(&(config_map("b") + &plant("there", "a"))).converge().await;
    user.says(&(config_map("c") + &plant("there", "a, a") + &plant("new", "b, b")));
    let plan = user.plan().await;
    assert!(refused(&plan)["there"].contains(".spec.tags: duplicate entries for key"), "{:#?}", brief(&plan));
    assert_eq!(changes(&plan), ["create Plant.bo-set.example/new", "update ConfigMap/good"]);
    let applied = user.apply(&plan).await;
    let results = results(&applied);
    assert!(matches!(results["good"], ChangeResult::Done), "{}", told(&plan, &applied));
    match &results["new"] {
        ChangeResult::Failed { why, .. } => assert!(why.contains(".spec.tags: duplicate entries for key"), "{why}"),
        other => panic!("{other:?}"),
    }
    user.destroy().await;
    undefine("plants.bo-set.example");
}

/// From now on a webhook that does not answer converts a kind.
pub fn convert_by_webhook(cluster: &Cluster, definition: &str) {
    let conversion =
        r#"{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"url":"https://127.0.0.1:1/"}}}"#;
    cluster.kubectl(&["patch", "crd", definition, "--type=merge", "--patch", &format!(r#"{{"spec":{{"conversion":{conversion}}}}}"#)]);
}

/// From now on the versions of a kind differ in their names alone.
pub fn convert_by_nothing(cluster: &Cluster, definition: &str) {
    let none = r#"{"spec":{"conversion":{"strategy":"None","webhook":null}}}"#;
    cluster.kubectl(&["patch", "crd", definition, "--type=merge", "--patch", none]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_whose_conversion_is_down_is_a_gap_of_that_kind_and_the_rest_is_planned() {
    const GROUP: &str = "bo-down.example";
    let apart = Apart::get().await;
    let cluster = apart.cluster;
    cluster.apply_yaml(&definition("hooks", "Hook", GROUP, &[("v1", true, OLD), ("v1alpha1", true, OLD)]));
    cluster.established("hooks.bo-down.example");
    let mut user = Declared::in_cluster(cluster, "bo-down");
    user.says(&(config_map("b") + &custom(GROUP, "v1", "Hook", "size: 1"))).converge().await;
    convert_by_webhook(cluster, "hooks.bo-down.example");
    user.says(&(config_map("c") + &custom(GROUP, "v1", "Hook", "size: 2")));
    // The server takes up the definition a moment after it is written.
    let plan = crate::support::eventually(|| async {
        let plan = user.plan().await;
        if plan.coverage.gaps.is_empty() { Err(format!("{:#?}", brief(&plan))) } else { Ok(plan) }
    })
    .await;
    let [gap] = &plan.coverage.gaps[..] else { panic!("{:#?}", plan.coverage.gaps) };
    assert_eq!((gap.kind.as_deref(), gap.name.as_deref()), (Some("Hook.bo-down.example"), None));
    assert!(
        gap.why.contains("conversion webhook for") && gap.why.contains("connection refused") && gap.why.contains("`spec.conversion`"),
        "{}",
        gap.why
    );
    assert!(!gap.why.contains("--concurrency"), "{}", gap.why);
    assert_eq!(changes(&plan), ["update ConfigMap/good"]);
    let blocked = plan.held.iter().map(|held| (&*held.id.name, matches!(held.why, HeldReason::Unreadable { .. })));
    assert_eq!(blocked.collect::<Vec<_>>(), [("one", true)]);
    // Nothing is asked for over and over again.
    assert!(plan.coverage.requests < 20, "{} requests", plan.coverage.requests);
    convert_by_nothing(cluster, "hooks.bo-down.example");
    crate::support::eventually(|| async {
        let plan = user.plan().await;
        if plan.coverage.gaps.is_empty() { Ok(()) } else { Err(format!("{:#?}", plan.coverage.gaps)) }
    })
    .await;
    user.converge().await;
    user.destroy().await;
    cluster.kubectl(&["delete", "crd", "hooks.bo-down.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_the_cluster_does_not_have_is_said_at_plan_time() {
    let mut user = Declared::new("bo-unknown");
    let unserved = "apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: { name: old }\nspec: { maxReplicas: 1, scaleTargetRef: { kind: Deployment, name: x } }\n---\n";
    let brought = definition("nets", "Net", "bo-unknown.example", &[("v1", true, SIZE)]);
    user.says(
        &(config_map("b")
            + &custom("nope.bo-unknown.example", "v1", "Nope", "a: b")
            + unserved
            + &brought
            + &custom("bo-unknown.example", "v2", "Net", "size: 1").replace("one", "two")),
    );
    let plan = user.plan().await;
    let refused = refused(&plan);
    let expect = |name: &str, words: &[&str]| {
        let why = refused.get(name).unwrap_or_else(|| panic!("{name} is not blocked: {:#?}", brief(&plan)));
        assert!(why.starts_with("create: ") && words.iter().all(|words| why.contains(words)), "{name}: {why}");
    };
    expect(
        "one",
        &["no kind Nope.nope.bo-unknown.example in the version nope.bo-unknown.example/v1", "is its CustomResourceDefinition installed"],
    );
    expect("old", &["autoscaling/v2beta2 (it serves autoscaling/v2, autoscaling/v1)"]);
    expect(
        "two",
        &["the definition nets.bo-unknown.example of the same plan does not serve Net.bo-unknown.example as bo-unknown.example/v2"],
    );
    assert_eq!(changes(&plan), ["create ConfigMap/good", "create CustomResourceDefinition.apiextensions.k8s.io/nets.bo-unknown.example"]);
    let applied = user.apply(&plan).await;
    assert!(results(&applied).values().all(|result| matches!(result, ChangeResult::Done)), "{}", told(&plan, &applied));
    user.destroy().await;
}

fn job(labels: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: once, labels: {{ {labels} }} }}\nspec:\n  completions: 3\n  {spec}\n  template: {{ spec: {{ \
         restartPolicy: Never, containers: [{{ name: one, image: 'registry.example/web:1' }}], initContainers: [{{ name: first, image: 'registry.example/init:1' }}] }} }}\n---\n"
    )
}

/// The image was pinned when the Job was made, or was not since no registry answered then.
#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_changeable_fields_change_in_place() {
    let changes_of_it = [
        ("v: b", "suspend: true"),
        ("v: b, more: c", "suspend: true"),
        ("", "suspend: true"),
        ("v: b", "suspend: true\n  backoffLimit: 4"),
        ("v: b", "suspend: true\n  parallelism: 2"),
        ("v: b", "suspend: true\n  activeDeadlineSeconds: 600"),
        ("v: b", "suspend: true\n  ttlSecondsAfterFinished: 600"),
        ("v: b", "suspend: false"),
    ];
    for (namespace, registry) in [("bo-job-pinned", Some(Digests)), ("bo-job-unpinned", None)] {
        let mut user = Declared { registry, ..Declared::new(namespace) };
        user.says(&job("v: a", "suspend: true")).converge().await;
        let before = uid(&user, "job/once");
        user.registry = Some(Digests);
        for (labels, spec) in changes_of_it {
            user.says(&job(labels, spec));
            let plan = user.plan().await;
            assert_eq!(changes(&plan), ["update Job.batch/once"], "{labels} {spec}: {:#?}", brief(&plan));
            user.converge().await;
            assert_eq!(uid(&user, "job/once"), before, "{labels} {spec}");
        }
        // The image that a Job runs cannot change.
        user.says(&job("v: b", "suspend: false").replace("web:1", "web:2"));
        assert_eq!(changes(&user.plan().await), ["replace Job.batch/once"]);
        user.destroy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_change_in_place_is_planned_as_a_replacement_whatever_the_words() {
    let mut user = Declared::new("bo-words");
    let grows = "size: { type: integer, x-kubernetes-validations: [{ rule: self >= oldSelf, message: it only grows }] }";
    define("plants", "Plant", "bo-words.example", grows);
    let service = |class: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: s }}\nspec: {{ selector: {{ app: web }}, ports: [{{ name: http, port: 80, targetPort: 8080 }}], type: LoadBalancer, loadBalancerClass: {class} }}\n---\n"
        )
    };
    let attributes = |value: &str| {
        format!(
            "apiVersion: storage.k8s.io/v1\nkind: VolumeAttributesClass\nmetadata: {{ name: bo-words }}\ndriverName: x.example.com\nparameters: {{ a: {value} }}\n---\n"
        )
    };
    let say = |class: &str, value: &str, size: &str| {
        service(class) + &attributes(value) + &custom("bo-words.example", "v1", "Plant", &format!("size: {size}"))
    };
    user.says(&say("example.com/lb", "b", "2")).converge().await;
    user.says(&say("example.com/other", "c", "1"));
    let plan = user.plan().await;
    assert_eq!(changes(&plan), ["replace Service/s", "replace VolumeAttributesClass.storage.k8s.io/bo-words"], "{:#?}", brief(&plan));
    // An operator may keep data in what it serves.
    assert!(plan.held.iter().any(|held| &*held.id.name == "one" && held.why == HeldReason::HoldsData), "{:#?}", plan.held);
    for words in ["may not change once set", "updates to parameters are forbidden", "it only grows"] {
        assert!(notes(&plan).contains(words), "{words}: {}", notes(&plan));
    }
    user.policy.delete_data = true;
    user.converge().await;
    // A change that is wrong in a new object, too, is refused.
    user.says(&(say("example.com/other", "c", "1").replace("port: 80,", "port: 0,")));
    let plan = user.plan().await;
    assert!(refused(&plan)["s"].contains("must be between 1 and 65535") && plan.is_empty(), "{:#?}", brief(&plan));
    user.destroy().await;
    undefine("plants.bo-words.example");
}

/// The data or the objects that they hold would go with them.
#[tokio::test(flavor = "multi_thread")]
async fn claims_volumes_definitions_and_namespaces_are_never_replaced_for_a_refusal() {
    let mut user = Declared::new("bo-kept");
    user.policy.delete_data = true;
    let claim = |size: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{ name: claim }}\nspec: {{ accessModes: [ReadWriteOnce], storageClassName: none, resources: {{ requests: {{ storage: {size} }} }} }}\n---\n"
        )
    };
    let volume = |path: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{ name: bo-kept }}\nspec: {{ accessModes: [ReadWriteOnce], capacity: {{ storage: 1Gi }}, storageClassName: none-bo, hostPath: {{ path: {path} }} }}\n---\n"
        )
    };
    let names = |list: &str| {
        definition("keeps", "Keep", "bo-kept.example", &[("v1", true, SIZE)])
            .replace("plural: keeps", &format!("plural: keeps, listKind: {list}"))
    };
    let versions = |version: &str| definition("holds", "Hold", "bo-kept.example", &[(version, true, SIZE)]);
    let scope = |scope: &str| {
        definition("scopes", "Scope", "bo-kept.example", &[("v1", true, SIZE)]).replace("scope: Namespaced", &format!("scope: {scope}"))
    };
    user.says(&(claim("2Gi") + &volume("/a") + &names("KeepList") + &versions("v1") + &scope("Namespaced"))).converge().await;
    user.says(&(claim("1Gi") + &volume("/b") + &names("KeepList") + &versions("v2") + &scope("Cluster")));
    let plan = user.plan().await;
    assert!(plan.is_empty(), "{:#?}", brief(&plan));
    let refused = refused(&plan);
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["bo-kept", "claim", "holds.bo-kept.example", "scopes.bo-kept.example"], "{refused:#?}");
    assert!(refused["scopes.bo-kept.example"].contains("spec.scope"), "{refused:#?}");
    user.destroy().await;
}
