//! Elements that a list has twice are said at their place.

use super::{made, of, refused, wrong};

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec:\n";

/// A list with keys, what it is in, and two elements with one key that differ otherwise; what the message names.
fn lists() -> Vec<(String, &'static str)> {
    let container = |rest: &str| format!("{POD}  containers:\n  - name: web\n    image: web:1\n{rest}");
    let object = |text: &str| text.to_owned();
    vec![
        (
            format!("{POD}  containers:\n  - {{ name: web, image: 'a' }}\n  - {{ name: web, args: [b] }}\n"),
            "`spec.containers`: duplicate element [name=web]",
        ),
        (
            format!("{POD}  initContainers:\n  - {{ name: i, image: a }}\n  - {{ name: i, image: b }}\n"),
            "`spec.initContainers`: duplicate element [name=i]",
        ),
        (
            format!("{POD}  volumes:\n  - {{ name: v, emptyDir: {{}} }}\n  - {{ name: v, configMap: {{ name: c }} }}\n"),
            "`spec.volumes`: duplicate element [name=v]",
        ),
        (
            format!("{POD}  hostAliases:\n  - {{ ip: 10.0.0.1, hostnames: [a] }}\n  - {{ ip: 10.0.0.1, hostnames: [b] }}\n"),
            "duplicate element [ip=10.0.0.1]",
        ),
        (format!("{POD}  imagePullSecrets:\n  - name: a\n  - name: a\n"), "`spec.imagePullSecrets`: duplicate element [name=a]"),
        (format!("{POD}  schedulingGates:\n  - name: a\n  - name: a\n"), "`spec.schedulingGates`: duplicate element [name=a]"),
        (
            format!("{POD}  resourceClaims:\n  - {{ name: a, resourceClaimName: one }}\n  - {{ name: a, resourceClaimName: two }}\n"),
            "`spec.resourceClaims`: duplicate",
        ),
        (
            format!(
                "{POD}  topologySpreadConstraints:\n  - {{ topologyKey: z, whenUnsatisfiable: DoNotSchedule, maxSkew: 1 }}\n  - {{ topologyKey: z, whenUnsatisfiable: DoNotSchedule, maxSkew: 2 }}\n"
            ),
            "duplicate element [topologyKey=z,whenUnsatisfiable=DoNotSchedule]: the API tells the elements of this list apart by topologyKey and whenUnsatisfiable",
        ),
        (
            container("    env:\n    - { name: X, value: a }\n    - { name: X, value: b }\n"),
            "`spec.containers[0].env`: duplicate element [name=X]",
        ),
        (
            container("    ports:\n    - { containerPort: 53, hostPort: 1 }\n    - { containerPort: 53, protocol: TCP, hostPort: 2 }\n"),
            "duplicate element [containerPort=53,protocol=TCP]",
        ),
        (
            container("    volumeMounts:\n    - { mountPath: /a, name: x }\n    - { mountPath: /a, name: z }\n"),
            "duplicate element [mountPath=/a]",
        ),
        (
            container("    volumeDevices:\n    - { devicePath: /a, name: x }\n    - { devicePath: /a, name: z }\n"),
            "duplicate element [devicePath=/a]",
        ),
        (
            object(
                "apiVersion: v1\nkind: Service\nmetadata: { name: s }\nspec:\n  ports:\n  - { name: a, port: 80, targetPort: 1 }\n  - { name: b, port: 80, protocol: TCP }\n",
            ),
            "Service s, `spec.ports`: duplicate element [port=80,protocol=TCP]: the API tells the elements of this list apart by port and protocol",
        ),
        (
            object("apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: s }\nsecrets:\n- name: a\n- name: a\n"),
            "`secrets`: duplicate element [name=a]",
        ),
        (
            object(
                "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: { name: s }\nwebhooks:\n- name: a.b.c\n- name: a.b.c\n",
            ),
            "`webhooks`: duplicate element [name=a.b.c]",
        ),
        (
            object("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: s\n  finalizers:\n  - a/b\n  - a/b\n"),
            "`metadata.finalizers`: duplicate element \"a/b\": the API takes this list as a set",
        ),
        (
            object(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n      - name: web\n",
            ),
            "Deployment d, `spec.template.spec.containers`: duplicate element [name=web]",
        ),
        (
            object(
                "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: d }\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          volumes:\n          - name: v\n          - name: v\n",
            ),
            "CronJob d, `spec.jobTemplate.spec.template.spec.volumes`: duplicate element [name=v]",
        ),
    ]
}

#[test]
fn a_key_that_two_elements_of_a_list_have_is_said_at_the_second_one() {
    for (text, expected) in lists() {
        let said = wrong(&text);
        assert!(said.contains(expected), "{text}\ngives {said}\nand not {expected}");
        // The second one is on the last line, and the first one on that before.
        let last = text.lines().count();
        assert!(said.starts_with(&format!("{last}:")) && said.contains(&format!("\n    {}:", last - 1)), "{text}\ngives {said}");
        assert!(said.ends_with("first here\n") || said.contains("first here"), "{said}");
    }
}

#[test]
fn what_differs_in_one_key_or_is_no_list_with_keys_may_be_there_twice() {
    of("
apiVersion: v1
kind: Service
metadata: { name: dns }
spec: { ports: [{ name: a, port: 53 }, { name: b, port: 53, protocol: UDP }] }
---
apiVersion: v1
kind: Pod
metadata: { name: p }
spec:
  containers: [{ name: a, env: [{ name: X }], args: [x, x] }, { name: b, env: [{ name: X }] }]
  tolerations: [{ key: a }, { key: a }]
---
apiVersion: example.com/v1
kind: Unknown
metadata: { name: u }
spec: { containers: [{ name: a }, { name: a }], ports: [{ port: 1 }, { port: 1 }] }
");
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: routes.example.com }
spec:
  group: example.com
  names: { kind: Route, plural: routes }
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              hosts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [host, port]
                items:
                  type: object
                  properties: { host: { type: string }, port: { type: integer, default: 80 }, paths: { type: array, x-kubernetes-list-type: set, items: { type: string } } }
              any: { type: array, items: { type: string } }
  - { name: v2, served: false, storage: false, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }
---
";

#[test]
fn lists_of_custom_resources_count_where_their_definition_says_so() {
    let route = |version: &str, spec: &str| {
        format!("{DEFINITION}apiVersion: example.com/{version}\nkind: Route\nmetadata: {{ name: r }}\nspec: {spec}\n")
    };
    for (spec, expected) in [
        ("{ hosts: [{ host: a }, { host: a, port: 80 }] }", "Route r, `spec.hosts`: duplicate element [host=a,port=80]"),
        (
            "{ hosts: [{ host: a, paths: [/x, /y, /x] }] }",
            "Route r, `spec.hosts[0].paths`: duplicate element \"/x\": the API takes this list as a set",
        ),
    ] {
        let said = wrong(&route("v1", spec));
        assert!(said.contains(expected), "{said}\nand not {expected}");
        of(&route("v2", spec));
    }
    of(&route("v1", "{ hosts: [{ host: a }, { host: a, port: 81 }], any: [x, x] }"));
}

const PARTS: &str = "platform.kubernetes = { manifests = \"k.yaml\", patches = \"p.yaml\" }\n";
const BASE: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\nspec:\n  template:\n    spec:\n      containers:\n      - { name: web, env: [{ name: X, value: a }] }\n";

fn patch(containers: &str) -> String {
    format!("kind: Deployment\nmetadata: {{ name: d }}\nspec:\n  template:\n    spec:\n      containers:\n{containers}")
}

#[test]
fn a_patch_that_has_an_element_twice_is_said_in_the_patch() {
    for (containers, place) in [
        ("      - { name: web, image: a }\n      - { name: web, args: [b] }\n", "p.yaml:8:"),
        ("      - { name: new, image: a }\n      - { name: new, args: [b] }\n", "p.yaml:8:"),
        ("      - { $patch: replace }\n      - { name: new, image: a }\n      - { name: new, args: [b] }\n", "p.yaml:9:"),
    ] {
        let said = refused(PARTS, &[("k.yaml", BASE), ("p.yaml", &patch(containers))]);
        assert!(said.starts_with(place) && said.contains("duplicate element [name="), "{said}");
    }
    // An element that is removed is there again, with another content.
    let exchanged = patch("      - { name: web, $patch: delete }\n      - { name: web, image: other }\n");
    made(PARTS, &[("k.yaml", BASE), ("p.yaml", &exchanged)]);
}

#[test]
fn a_patch_is_the_way_out_for_what_a_file_has_twice() {
    let twice = BASE.replace("[{ name: X, value: a }]", "[{ name: X, value: a }, { name: X, value: b }]");
    let unrelated = "kind: Deployment\nmetadata: { name: d }\nspec: { replicas: 2 }\n";
    let said = refused(PARTS, &[("k.yaml", &twice), ("p.yaml", unrelated)]);
    assert!(said.starts_with("k.yaml:8:") && said.contains("duplicate element [name=X]"), "{said}");
    let replaced = patch("      - { name: web, env: [{ $patch: replace }, { name: X, value: c }] }\n");
    made(PARTS, &[("k.yaml", &twice), ("p.yaml", &replaced)]);
}

/// A portable app that has one port under two names would become such a list.
#[test]
fn two_ports_of_an_app_that_are_one_to_the_api_are_refused() {
    let said = refused("image = \"web:1\"\nports.a = 80\nports.b = 80\n", &[]);
    assert!(said.contains("its ports `a` and `b` are the same: 80 of one protocol"), "{said}");
    made("image = \"web:1\"\nports.a = 80\nports.b = { port = 80, protocol = \"udp\" }\n", &[]);
}
