//! Parts, from a manifest and its files to resources, or to what is wrong with them.

mod duplicates;

use stratos_engine::desired::name::Name;
use stratos_engine::desired::resource::Resource;
use stratos_engine::desired::{Desired, desired, owner_in};
use stratos_engine::manifest::Manifest;
use stratos_engine::manifest::diagnostic::Report;
use stratos_engine::platform::Platform as _;
use stratos_engine::render::{VariableInputs, native, render};

use crate::connection::Connection;
use crate::{EnvironmentConfig, KubernetesPlatform};

const BEFORE: &str =
    "[project]\nname = \"shop\"\n[environments.test]\nplatform = \"kubernetes\"\n[secrets]\ndb = { env = \"DB\" }\n[apps.web]\n";

/// What an app becomes whose manifest goes on like this, in the namespace `shop-test`.
fn translated(app: &str, files: &[(&str, &str)]) -> Result<Desired, Report> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratos.toml"), format!("{BEFORE}{app}")).unwrap();
    for (path, text) in files {
        std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    let manifest = Manifest::load(folder.path())?;
    let environment = Name::new("test").unwrap();
    let config = EnvironmentConfig {
        environment: environment.clone(),
        owner: owner_in(&manifest.project, &environment),
        namespace: "shop-test".into(),
        create_namespace: true,
        force_conflicts: false,
        watch: 5,
    };
    let platform = KubernetesPlatform::connect(config, Connection::nowhere().unwrap());
    let mut rendered = render(&manifest, &environment, &VariableInputs::default())?;
    native::load(&mut rendered, &manifest, &|part| platform.native_files(part))?;
    desired(&mut rendered, &manifest, &platform, &Default::default())
}

/// The resources of one file `k.yaml`.
fn of(text: &str) -> Vec<Resource> {
    made("platform.kubernetes.manifests = \"k.yaml\"\n", &[("k.yaml", text)])
}

fn made(app: &str, files: &[(&str, &str)]) -> Vec<Resource> {
    translated(app, files).unwrap_or_else(|report| panic!("{report}")).resources
}

/// What is wrong with one file `k.yaml.j2`.
fn wrong(text: &str) -> String {
    refused("platform.kubernetes.manifests = \"k.yaml.j2\"\n", &[("k.yaml.j2", text)]).replace("k.yaml.j2 (rendered):", "")
}

fn refused(app: &str, files: &[(&str, &str)]) -> String {
    match translated(app, files) {
        Ok(desired) => panic!("it is accepted: {desired:?}"),
        Err(report) => report.to_string(),
    }
}

fn ids(resources: &[Resource]) -> Vec<String> {
    resources.iter().map(|resource| resource.id.to_string()).collect()
}

fn after(resources: &[Resource], id: &str) -> Vec<String> {
    let resource = resources.iter().find(|resource| resource.id.to_string() == id).unwrap_or_else(|| panic!("{:?}", ids(resources)));
    resource.depends_on.iter().map(ToString::to_string).collect()
}

fn leaf(resources: &[Resource], id: &str, path: &[&str]) -> String {
    let resource = resources.iter().find(|resource| resource.id.to_string() == id).unwrap_or_else(|| panic!("{:?}", ids(resources)));
    let path = stratos_engine::desired::path::Path::new(path.iter().copied());
    resource.document.get(&path).map_or_else(|| "(none)".to_owned(), ToString::to_string)
}

#[test]
fn settings_of_pods_alone_make_no_resources() {
    let with = |part: &str| ids(&made(&format!("image = \"web:1\"\n{part}"), &[]));
    assert_eq!(with("platform.kubernetes.run_as_user = 1000\n"), with(""));
}

#[test]
fn ids_say_where_things_are() {
    let resources = of("
apiVersion: v1
kind: List
items:
- { apiVersion: v1, kind: ConfigMap, metadata: { name: a } }
- { apiVersion: v1, kind: ConfigMap, metadata: { name: b, namespace: shop-test } }
- { apiVersion: v1, kind: ConfigMap, metadata: { name: c, namespace: other } }
- { apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: { name: d, namespace: other } }
- { apiVersion: x.example.com/v1, kind: Thing, metadata: { name: e, namespace: other } }
---
apiVersion: v1
kind: ConfigMapList
items: [{ metadata: { name: f } }]
");
    assert_eq!(
        ids(&resources),
        [
            "test/ClusterRole.rbac.authorization.k8s.io/d",
            "test/ConfigMap/a",
            "test/ConfigMap/b",
            "test/ConfigMap/f",
            "test/ConfigMap/other/c",
            "test/Thing.x.example.com/other/e",
        ]
    );
    assert!(resources.iter().all(|resource| resource.marks.app.as_str() == "web"));
}

#[test]
fn patterns_find_files_once_and_not_the_patches_beside_them() {
    let part = "platform.kubernetes = { manifests = [\"k/*.yaml\", \"k/a.yaml\"], patches = [\"k/patch.yaml\"] }\n";
    let files = [
        ("k/a.yaml", "{ apiVersion: v1, kind: ConfigMap, metadata: { name: a }, data: { x: old } }"),
        ("k/patch.yaml", "{ kind: ConfigMap, metadata: { name: a }, data: { x: new, y: more } }"),
    ];
    let resources = made(part, &files);
    assert_eq!(ids(&resources), ["test/ConfigMap/a"]);
    assert_eq!(leaf(&resources, "test/ConfigMap/a", &["data", "x"]), "\"new\"");
}

#[test]
fn secrets_go_into_secrets_alone() {
    let secret = "{ apiVersion: v1, kind: Secret, metadata: { name: a }, stringData: { url: 'db:{{ secrets.db }}@x' }, data: { p: '{{ secrets.db | b64encode }}' } }";
    let resources = made("platform.kubernetes.manifests = \"k.yaml.j2\"\n", &[("k.yaml.j2", secret)]);
    assert!(resources[0].document.leaves().iter().any(|(_, leaf)| format!("{leaf:?}").contains("Secret")));
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata:\n  key: 'x {{ secrets.db }}'\n";
    let said = wrong(config);
    assert!(said.starts_with("5:8: ConfigMap a, `data.key`: a secret can be in the `data` or `stringData` of a Secret alone"), "{said}");
    let half = "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\ndata:\n  key: 'x {{ secrets.db }}'\n";
    assert!(wrong(half).starts_with("5:8: Secret a, `data.key`: `data` is base64: write"), "{}", wrong(half));
}

/// Files that hold no object: how many resources there are, or what is wrong.
#[test]
fn a_template_may_render_nothing_and_an_empty_file_beside_others_is_passed_over() {
    const ONE: &str = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: a } }";
    let both = "platform.kubernetes.manifests = [\"k.yaml.j2\", \"*.yaml\"]\n";
    let plain = "platform.kubernetes.manifests = \"*.yaml\"\n";
    let patched = "platform.kubernetes = { manifests = \"k.yaml\", patches = \"p.yaml.j2\" }\n";
    let empty = ["", "\n", "# nothing\n", "---\n", "---\n---\n", "{% if false %}\na: b\n{% endif %}\n", "---\n# nothing\n...\n", "null\n"];
    for nothing in empty {
        let template = ("k.yaml.j2", nothing);
        assert_eq!(made("platform.kubernetes.manifests = \"k.yaml.j2\"\n", &[template]).len(), 0, "{nothing:?}");
        assert_eq!(made(both, &[template, ("a.yaml", ONE)]).len(), 1, "{nothing:?}");
        assert_eq!(made(patched, &[("k.yaml", ONE), ("p.yaml.j2", nothing)]).len(), 1, "{nothing:?}");
        if !nothing.contains('%') {
            assert_eq!(made(plain, &[("a.yaml", ONE), ("b.yaml", nothing)]).len(), 1, "{nothing:?}");
            let said = refused(plain, &[("a.yaml", nothing), ("b.yaml", nothing)]);
            assert!(said.contains("`*.yaml` has no object in it, nor has another file of the app"), "{nothing:?}: {said}");
        }
    }
}

#[test]
fn each_mistake_is_said_at_its_place() {
    let object = |rest: &str| format!("apiVersion: v1\nkind: ConfigMap\n{rest}");
    for (text, expected) in [
        ("a: 1\na: 2\n", "2:1: duplicate mapping key: a"),
        ("[1]\n", "1:2: an object is a table, and this is a list"),
        ("kind: ConfigMap\nmetadata: { name: a }\n", "1:1: `apiVersion` is missing"),
        ("apiVersion: v1\nmetadata: { name: a }\n", "1:1: `kind` is missing"),
        (&object("metadata: {}\n"), "3:1: `metadata.name` is missing"),
        (&object("metadata:\n  name: 80\n"), "4:9: `metadata.name` must be text that is known before anything is deployed, found a number"),
        (
            &object("metadata: { generateName: a- }\n"),
            "3:13: `generateName` is refused: an object is found again by its name (write `name`",
        ),
        (&object("metadata: { name: a, namespace: 3 }\n"), "3:33: ConfigMap a: `metadata.namespace` must be text, found a number"),
        (&object("metadata: { name: a, lables: {} }\n"), "3:22: ConfigMap a: `metadata` has no field `lables` (did you mean `labels`?)"),
        (&object("metadata: { name: a, labels: { stratos/app: x } }\n"), "`stratos/app` is a mark of Stratos' own"),
        (
            &object("metadata: { name: a, labels: { x: true } }\n"),
            "3:35: ConfigMap a: `x` must be text, and YAML reads this as a boolean (put it in quotes)",
        ),
        (&object("metadata: { name: a }\ndata: { port: 80 }\n"), "4:15: ConfigMap a: `port` must be text, and YAML reads this as a number"),
        (
            &object("metadata: { name: shop }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop }\n"),
            "7:19: ConfigMap shop is here twice\n    3:19: first here",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\ndata:\n  k: '%%'\n",
            "5:6: Secret a, `data.k`: `data` is base64, and this is none",
        ),
        ("apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData: { k: 1 }\n", "4:18: Secret a: `k` must be text"),
        (&object("metadata: { name: .. }\n"), "3:19: ConfigMap ..: `metadata.name` cannot be `..`: it is a part of addresses"),
        (&object("metadata: { name: a/b }\n"), "`metadata.name` cannot be `a/b`"),
        (&object("metadata: { name: 100% }\n"), "`metadata.name` cannot be `100%`"),
        (&object("metadata: { name: a, namespace: . }\n"), "`metadata.namespace` cannot be `.`"),
        ("apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\nmetadata: { name: a }\n", "1:1: a Kustomization is no object"),
        ("apiVersion: v1\nkind: List\nitems: {}\n", "`items` must be a list"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\nspec:\n  template:\n    spec:\n      containers:\n      - name: a\n        env:\n        - name: X\n          value: 80\n",
            "11:18: Deployment a: `value` must be text, and YAML reads this as a number",
        ),
    ] {
        let said = wrong(text);
        assert!(said.contains(expected), "{text}\ngives {said}\nand not {expected}");
    }
}

/// Whether a value must be text is said by its type, wherever it is.
#[test]
fn what_is_no_text_is_said_where_its_type_is_text() {
    let pod = |container: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: a }}\nspec: {{ containers: [{{ name: c, image: i, {container} }}] }}\n")
    };
    let custom = |rest: &str| format!("apiVersion: x.example.com/v1\nkind: Thing\n{rest}\n");
    let definition = |schema: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: things.x.example.com }}\n\
             spec: {{ group: x.example.com, scope: Cluster, names: {{ kind: Thing, plural: things }}, \
             versions: [{{ name: v1, served: true, storage: true, schema: {{ openAPIV3Schema: {{ type: object, {schema} }} }} }}] }}\n"
        )
    };
    let class =
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: { name: a }\nprovisioner: p\nparameters: { encrypted: true }\n";
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: { name: a }\nrules: [{ apiGroups: [''], resources: [pods], verbs: [get], resourceNames: [1] }]\n";
    for (text, name) in [
        (pod("command: [sleep, 5]"), Some("command")),
        (pod("workingDir: 1"), Some("workingDir")),
        (pod("env: [{ name: 1, value: x }]"), Some("name")),
        (pod("resources: { limits: { cpu: 1 } }, ports: [{ containerPort: 80 }], tty: true"), None),
        (pod("livenessProbe: { httpGet: { port: 80 } }"), None),
        (pod("image: 1.5").replace("image: i, ", ""), Some("image")),
        (class.to_owned(), Some("encrypted")),
        (role.to_owned(), Some("resourceNames")),
        (custom("metadata: { name: a, labels: { x: 1 } }"), Some("x")),
        (custom("metadata: { name: a }\nspec: { labels: { x: 1 }, command: [1], env: [{ value: 1 }] }"), None),
        (
            definition(
                "properties: { labels: { type: object, default: { x: 1 } }, command: { type: array, items: { type: integer }, example: [1] } }",
            ),
            None,
        ),
        (definition("description: 1"), Some("description")),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\nbinaryData: { k: 1 }\n".to_owned(), Some("k")),
    ] {
        let read = translated("platform.kubernetes.manifests = \"k.yaml\"\n", &[("k.yaml", &text)]);
        let said = read.err().map(|report| report.to_string()).unwrap_or_default();
        let expected = name.map(|name| format!("`{name}` must be text"));
        assert!(
            expected.as_ref().map_or(said.is_empty(), |expected| said.contains(expected)),
            "{text}\ngives {said}\nand not {expected:?}"
        );
    }
}

#[test]
fn the_part_itself_is_checked() {
    let files = [
        ("k.yaml", "{ apiVersion: v1, kind: Service, metadata: { name: front }, spec: { ports: [{ port: 80 }] } }"),
        ("p.yaml", "{ kind: Service, metadata: { name: front } }"),
        ("n.yaml", "{ kind: Deployment, metadata: { name: front } }"),
        ("l.yaml", "[]"),
    ];
    for (app, expected) in [
        ("platform.kubernetes.manifest = \"k.yaml\"", "8:21: `platform.kubernetes` has no key `manifest` (did you mean `manifests`?)"),
        ("platform.kubernetes.helm = {}", "8:28: `helm` has no `chart` (chart = \"charts/web\")"),
        ("platform.kubernetes.helm = \"c\"", "`helm` must be a table (helm = { chart = \"charts/web\""),
        ("platform.kubernetes.helm = { chart = \"\" }", "`chart` must be a path or a name"),
        ("platform.kubernetes.helm = { chart = \"{{ secrets.db }}\" }", "`chart` must be a path or a name"),
        ("platform.kubernetes.helm = { chart = \"c\", value = \"v\" }", "`helm` has no key `value` (did you mean `values`?)"),
        ("platform.kubernetes.helm = { chart = \"c\", namespace = \"n\" }", "(objects without a namespace go into the environment's own"),
        (
            "platform.kubernetes.helm = { chart = \"c\", values = { a = 1 } }",
            "`values` names files (values of the manifest itself are under `set`",
        ),
        ("platform.kubernetes.helm = { chart = \"c\", set = [1] }", "`set` must be a table of values"),
        ("platform.kubernetes.helm = { chart = \"c\", hooks = \"run\" }", "8:51: `hooks` must be \"skip\" or \"apply\""),
        ("platform.kubernetes.helm = { chart = \"c\", release = \"--debug\" }", "\"--debug\" is no name of a release"),
        ("platform.kubernetes.helm = { chart = \"c\", api_versions = \"v1\" }", "`api_versions` must be a list of texts"),
        ("platform.kubernetes.helm = { chart = \"c\", version = \"1.0.0\" }", "`version` has no meaning"),
        ("platform.kubernetes.helm = { chart = \"oci://r/c\" }", "8:38: `version` is missing: each plan would take the newest chart"),
        ("platform.kubernetes.helm = { chart = \"oci://r/c\", version = \"^1.2\" }", "\"^1.2\" is no exact version"),
        ("platform.kubernetes.helm = { chart = \"oci://r/c\", version = \"1.2\" }", "\"1.2\" is no exact version"),
        ("platform.kubernetes.helm = { chart = \"c\", repo = \"r\", version = \"1.2.3\" }", "`repo` must be the address of a repository"),
        ("platform.kubernetes.helm = { chart = \"c\", repo = \"oci://r\", version = \"1.2.3\" }", "a registry is named in `chart`"),
        ("platform.kubernetes.helm = { chart = \"oci://r/c\", repo = \"https://r\", version = \"1.2.3\" }", "`repo` has no meaning"),
        ("platform.kubernetes.helm = { chart = \"-c\", repo = \"https://r\", version = \"1.2.3\" }", "this is no name of a chart"),
        ("platform.kubernetes.run_as_user = 1", "`run_as_user` is about the pods of the app itself, and it has none: no `image`"),
        ("platform.kubernetes = {}", "`manifests` is missing"),
        ("platform.kubernetes.manifests = []", "`manifests` names no file"),
        ("platform.kubernetes.manifests = 3", "`manifests` must be a path or a pattern"),
        ("platform.kubernetes.manifests = \"none/*.yaml\"", "8:33: `none/*.yaml` cannot be read: no file matches `none/*.yaml`"),
        ("platform.kubernetes.manifests = \"none.yaml\"", "`none.yaml` cannot be read: there is no such file"),
        ("platform.kubernetes = { manifests = \"k.yaml\", patches = [\"none.yaml\"] }", "`none.yaml` cannot be read"),
        (
            "platform.kubernetes = { manifests = \"k.yaml\", patches = [\"n.yaml\"] }",
            "n.yaml:1:3: this patch is about nothing: the app has no Deployment front",
        ),
        ("platform.kubernetes = { manifests = \"k.yaml\", patches = [\"l.yaml\"] }", "a patch is a part of an object, and this is a list"),
        (
            "platform.kubernetes = { manifests = \"k.yaml\", patches = [{ file = \"p.yaml\", target = { name = \"x\" } }] }",
            "a target has no `kind`",
        ),
        (
            "platform.kubernetes = { manifests = \"k.yaml\", patches = [{ fil = \"p.yaml\" }] }",
            "a patch has no key `fil` (did you mean `file`?)",
        ),
        (
            "platform.kubernetes.manifests = \"k.yaml\"\nports.http = 80",
            "its manifests have no Service `web` for others to reach them at (service = \"…\": one of front)",
        ),
        (
            "platform.kubernetes = { manifests = \"k.yaml\", service = \"front\" }\nports.http = 81",
            "the Service `front` has no such port (it has: 80)",
        ),
        ("image = \"w\"\nplatform.kubernetes.pod_security = \"restrict\"", "9:36: `pod_security` must be"),
        ("image = \"w\"\nplatform.kubernetes.run_as_user = 0", "0 is root, which `pod_security = \"restricted\"` does not let run"),
        ("image = \"w\"\nplatform.kubernetes.run_as_user = \"www\"", "`run_as_user` must be a whole number"),
        ("image = \"w\"\nplatform.kubernetes.service = \"front\"", "`service` has no meaning"),
    ] {
        let said = refused(app, &files);
        assert!(said.contains(expected), "{app}\ngives {said}\nand not {expected}");
    }
    let bound = made(
        "platform.kubernetes = { manifests = \"k.yaml\", service = \"front\" }\nports.http = 80\n[apps.shop]\nimage = \"s\"\n[apps.shop.bind]\nweb = {}\n",
        &files,
    );
    let env = &["spec", "template", "spec", "containers", "[name=shop]", "env", "[name=WEB_HOST]", "value"];
    assert_eq!(leaf(&bound, "test/Deployment.apps/shop", env), "\"front\"");
}

#[test]
fn patches_change_the_portable_part_too() {
    let app = "image = \"web:1\"\nplatform.kubernetes = { manifests = \"k.yaml\", patches = [\"p.yaml\"] }\n";
    let manifests = ("k.yaml", "{ apiVersion: v1, kind: ConfigMap, metadata: { name: extra }, data: { a: b } }");
    let patch = "
kind: Deployment
metadata: { name: web, annotations: { example.com/note: x } }
spec:
  template:
    spec:
      nodeSelector: { disk: ssd }
      containers:
      - name: web
        envFrom: [{ configMapRef: { name: extra } }]
";
    let resources = made(app, &[manifests, ("p.yaml", patch)]);
    let web = "test/Deployment.apps/web";
    assert_eq!(leaf(&resources, web, &["spec", "template", "spec", "nodeSelector", "disk"]), "\"ssd\"");
    assert_eq!(leaf(&resources, web, &["metadata", "annotations", "example.com/note"]), "\"x\"");
    assert!(after(&resources, web).contains(&"test/ConfigMap/extra".to_owned()), "{:?}", after(&resources, web));
    assert!(after(&resources, web).contains(&"test/ServiceAccount/web".to_owned()));
    let refused = |patch: &str| refused(app, &[manifests, ("p.yaml", patch)]);
    for (patch, expected) in [
        (
            "kind: Deployment\nmetadata: { name: web }\nspec:\n  selector: { matchLabels: { a: b } }\n",
            "p.yaml:4:3: a patch cannot change which pods",
        ),
        ("kind: Deployment\nmetadata: { name: web, labels: { stratos/app: x } }\n", "p.yaml:2:34: `stratos/app` is a mark"),
        ("kind: Deployment\nmetadata: { name: web }\nspec: { $retainKeys: [a] }\n", "p.yaml:3:1: `$retainKeys` is not supported"),
        ("kind: Deployment\nmetadata: { name: web }\n$patch: delete\n", "a patch cannot delete an object"),
        ("metadata: { name: web }\n", "p.yaml:1:1: a patch names its object, and `kind` is missing"),
    ] {
        let said = refused(patch);
        assert!(said.contains(expected), "{patch}\ngives {said}\nand not {expected}");
    }
    let target = "image = \"web:1\"\nplatform.kubernetes.patches = [{ file = \"p.yaml\", target = { kind = \"Deployment\" } }]\n";
    let renames = refused_with(target, "metadata: { name: other }\n");
    assert!(renames.contains("p.yaml:1:19: a patch cannot rename an object"), "{renames}");
    assert_eq!(leaf(&made(target, &[("p.yaml", "spec: { revisionHistoryLimit: 3 }")]), web, &["spec", "revisionHistoryLimit"]), "3");
}

fn refused_with(app: &str, patch: &str) -> String {
    refused(app, &[("p.yaml", patch)])
}

#[test]
fn what_is_named_comes_first() {
    let resources = of("
{ apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: { name: things.x.example.com },
  spec: { group: x.example.com, scope: Cluster, names: { kind: Thing, plural: things } } }
---
{ apiVersion: x.example.com/v1, kind: Thing, metadata: { name: t, namespace: ignored } }
---
{ apiVersion: v1, kind: Namespace, metadata: { name: other } }
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: c, namespace: other } }
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: c } }
---
{ apiVersion: v1, kind: LimitRange, metadata: { name: l } }
---
{ apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: { name: r } }
---
{ apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: { name: b }, roleRef: { kind: Role, name: r },
  subjects: [{ kind: ServiceAccount, name: s, namespace: shop-test }] }
---
{ apiVersion: apps/v1, kind: Deployment, metadata: { name: d },
  spec: { progressDeadlineSeconds: 7, template: { metadata: { labels: { app: d, x: z } }, spec: { serviceAccountName: s, priorityClassName: none,
    volumes: [{ name: v, configMap: { name: c } }], containers: [{ name: d, env: [{ name: E, value: c }] }] } } } }
---
{ apiVersion: v1, kind: Service, metadata: { name: hook }, spec: { selector: { app: d } } }
---
{ apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: { name: w },
  webhooks: [{ name: a, clientConfig: { service: { name: hook, namespace: shop-test } } }] }
");
    assert_eq!(
        after(&resources, "test/Thing.x.example.com/t"),
        ["test/CustomResourceDefinition.apiextensions.k8s.io/things.x.example.com"]
    );
    assert_eq!(after(&resources, "test/ConfigMap/other/c"), ["test/Namespace/other"]);
    assert_eq!(after(&resources, "test/ConfigMap/c"), [""; 0]);
    assert_eq!(after(&resources, "test/RoleBinding.rbac.authorization.k8s.io/b"), ["test/Role.rbac.authorization.k8s.io/r"]);
    assert_eq!(
        after(&resources, "test/Deployment.apps/d"),
        ["test/ConfigMap/c", "test/LimitRange/l", "test/RoleBinding.rbac.authorization.k8s.io/b"]
    );
    assert_eq!(
        after(&resources, "test/ValidatingWebhookConfiguration.admissionregistration.k8s.io/w"),
        ["test/Deployment.apps/d", "test/Service/hook"]
    );
    let deployment = resources.iter().find(|resource| &*resource.id.kind == "Deployment.apps").unwrap();
    assert_eq!(deployment.rollout_timeout.map(|time| time.0), Some(7000));
}

/// Nothing waits for itself, whatever names what.
#[test]
fn there_are_no_circles() {
    let pair = |a: &str, b: &str| {
        format!(
            "{{ apiVersion: v1, kind: ServiceAccount, metadata: {{ name: {a} }}, secrets: [{{ name: {b} }}], imagePullSecrets: [{{ name: {b} }}] }}"
        )
    };
    let text = format!(
        "{}\n---\n{}\n---\n{{ apiVersion: v1, kind: Secret, metadata: {{ name: b, annotations: {{ kubernetes.io/service-account.name: a }} }} }}\n",
        pair("a", "b"),
        pair("b", "b")
    );
    let resources = of(&text);
    for resource in &resources {
        for other in &resource.depends_on {
            let other = resources.iter().find(|found| found.id == *other).unwrap();
            assert!(!other.depends_on.contains(&resource.id));
        }
    }
}

/// Thousands of objects take no longer each than a few.
#[test]
fn many_objects_are_no_matter() {
    let one = |n| format!("{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: c{n} }}, data: {{ a: b }} }}\n---\n");
    let resources = of(&(0..3000).map(one).collect::<String>());
    assert_eq!(resources.len(), 3000);
}

#[test]
fn the_own_namespace_can_be_declared_and_comes_before_everything() {
    let resources = of("
{ apiVersion: v1, kind: Namespace, metadata: { name: shop-test, labels: { pod-security.kubernetes.io/enforce: baseline } } }
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: a, namespace: shop-test } }
");
    assert_eq!(ids(&resources), ["test/ConfigMap/a", "test/Namespace/shop-test"]);
    assert!(resources[1].shape.comes_first && !resources[1].shape.holds_data);
}

/// Numbers and booleans of YAML 1.1, as kubectl reads them, in all files alike.
#[test]
fn a_mode_in_octal_is_the_number_that_kubectl_reads() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { hostNetwork: yes, volumes: [{ name: v, configMap: { name: c, defaultMode: 0755 } }] }\n";
    let patch =
        "kind: Pod\nmetadata: { name: p }\nspec: { volumes: [{ name: v, configMap: { items: [{ key: a, path: a, mode: 0400 }] } }] }\n";
    let resources = made("platform.kubernetes = { manifests = \"k.yaml\", patches = \"p.yaml\" }\n", &[("k.yaml", pod), ("p.yaml", patch)]);
    let at = |path: &[&str]| leaf(&resources, "test/Pod/p", path);
    assert_eq!(at(&["spec", "hostNetwork"]), "true");
    assert_eq!(at(&["spec", "volumes", "[name=v]", "configMap", "defaultMode"]), "493");
    assert_eq!(at(&["spec", "volumes", "[name=v]", "configMap", "items", "[0000]", "mode"]), "256");
}

/// An object that names another one in an annotation or a field comes after it.
#[test]
fn what_an_annotation_or_a_field_names_comes_first() {
    for (object, named) in [
        (
            "{ apiVersion: v1, kind: Secret, metadata: { name: t, annotations: { kubernetes.io/service-account.name: named } }, type: kubernetes.io/service-account-token }",
            "v1, kind: ServiceAccount",
        ),
        (
            "{ apiVersion: v1, kind: PersistentVolumeClaim, metadata: { name: t, annotations: { volume.beta.kubernetes.io/storage-class: named } } }",
            "storage.k8s.io/v1, kind: StorageClass",
        ),
        (
            "{ apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: { name: t, annotations: { kubernetes.io/ingress.class: named } } }",
            "networking.k8s.io/v1, kind: IngressClass",
        ),
        (
            "{ apiVersion: v1, kind: PersistentVolumeClaim, metadata: { name: t }, spec: { volumeAttributesClassName: named } }",
            "storage.k8s.io/v1, kind: VolumeAttributesClass",
        ),
        (
            "{ apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: { name: t }, provisioner: named }",
            "storage.k8s.io/v1, kind: CSIDriver",
        ),
        (
            "{ apiVersion: v1, kind: Pod, metadata: { name: t }, spec: { resourceClaims: [{ name: a, resourceClaimName: named }] } }",
            "resource.k8s.io/v1, kind: ResourceClaim",
        ),
        (
            "{ apiVersion: v1, kind: Pod, metadata: { name: t }, spec: { resourceClaims: [{ name: a, resourceClaimTemplateName: named }] } }",
            "resource.k8s.io/v1, kind: ResourceClaimTemplate",
        ),
        (
            "{ apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: { name: t }, spec: { devices: { requests: [{ name: a, exactly: { deviceClassName: named } }] } } }",
            "resource.k8s.io/v1, kind: DeviceClass",
        ),
        (
            "{ apiVersion: v1, kind: Pod, metadata: { name: t }, spec: { volumes: [{ name: v, projected: { sources: [{ clusterTrustBundle: { name: named } }] } }] } }",
            "certificates.k8s.io/v1beta1, kind: ClusterTrustBundle",
        ),
        (
            "{ apiVersion: flowcontrol.apiserver.k8s.io/v1, kind: FlowSchema, metadata: { name: t }, spec: { priorityLevelConfiguration: { name: named } } }",
            "flowcontrol.apiserver.k8s.io/v1, kind: PriorityLevelConfiguration",
        ),
        (
            "{ apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: { name: t }, spec: { policyName: named } }",
            "admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy",
        ),
    ] {
        let resources = of(&format!("{object}\n---\n{{ apiVersion: {named}, metadata: {{ name: named }} }}\n"));
        let (first, second) = resources.iter().partition::<Vec<_>, _>(|resource| &*resource.id.name == "named");
        assert_eq!(second[0].depends_on, [first[0].id.clone()], "{object}");
    }
}
