//! Runs of the program on a cluster without nodes: what it changes, how long it takes, with what it ends, and what it says.

use std::time::{Duration, Instant};

use stratos_test_platforms::Cluster;

use crate::project::stratos;
use crate::support::Place;

/// An environment in a namespace of its own, and apps that name manifests.
fn place(cluster: &Cluster, namespace: &str, apps: &[(&str, &str)]) -> Place {
    let id = namespace.replace('-', "");
    let kubeconfig = cluster.kubeconfig().display();
    let mut manifest = format!(
        "[project]\nname = \"shop\"\nid = \"{id}\"\n[environments.dev]\nplatform = \"kubernetes\"\nnamespace = \"{namespace}\"\n\
         options.kubeconfig = \"{kubeconfig}\"\n[variables]\nstage = \"dev\"\n"
    );
    for (name, files) in apps {
        manifest += &format!("[apps.{name}.platform.kubernetes]\nmanifests = [\"{files}\"]\n");
    }
    Place::with(&manifest)
}

fn config_maps(names: &[&str]) -> String {
    let one = |name: &&str| format!("{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: {name} }}, data: {{ key: value }} }}\n");
    names.iter().map(one).collect::<Vec<_>>().join("---\n")
}

/// The ConfigMaps of a namespace that carry an app's label, and the app.
fn owners(cluster: &Cluster, namespace: &str) -> String {
    let columns = "jsonpath={range .items[*]}{.metadata.name}={.metadata.labels.stratos/app} {end}";
    let said = cluster.kubectl(&["--namespace", namespace, "get", "configmaps", "--selector=stratos/app", &format!("--output={columns}")]);
    said.trim().to_owned()
}

/// ConfigMap x moves from the files of app a to those of app b.
#[test]
fn an_object_that_moves_between_apps_is_one_change_and_no_run_deletes_it() {
    let cluster = Cluster::shared_api_only();
    let namespace = "runs-moved";
    let place = place(cluster, namespace, &[("a", "m/a.yaml"), ("b", "m/b.yaml")]);
    let declare = |a: &[&str], b: &[&str]| {
        place.write("m/a.yaml", &config_maps(a));
        place.write("m/b.yaml", &config_maps(b));
    };
    let apply = |arguments: &[&str]| stratos(&place, &[&["apply", "--yes"], arguments].concat(), 0);
    declare(&["a", "x"], &["b"]);
    apply(&[]);
    declare(&["a"], &["b", "x"]);
    let plan = stratos(&place, &["plan"], 0).out;
    assert!(plan.contains("~ ConfigMap/x  update in place: it was the app a's, and b declares it now"), "{plan}");
    assert!(plan.contains("0 to create, 1 to update, 0 to replace, 0 to delete"), "{plan}");
    // Of a alone, and a destroyed: x stays.
    let plan = stratos(&place, &["plan", "--app", "a"], 0).out;
    assert!(plan.contains("delete dev/ConfigMap/x: the app b declares it now") && plan.contains("No changes, 1 held"), "{plan}");
    apply(&["--app", "a"]);
    assert_eq!(owners(cluster, namespace), "a=a b=b x=a");
    stratos(&place, &["destroy", "--app", "a", "--yes"], 0);
    assert_eq!(owners(cluster, namespace), "b=b x=a");
    // Of b alone: x is b's, and another run has nothing to do.
    apply(&["--app", "b"]);
    assert_eq!(owners(cluster, namespace), "b=b x=b");
    stratos(&place, &["plan", "--app", "b", "--detailed-exitcode"], 0);
    stratos(&place, &["apply", "--app", "a", "--yes"], 0);
    // And back, for all.
    declare(&["a", "x"], &["b"]);
    apply(&[]);
    assert_eq!(owners(cluster, namespace), "a=a b=b x=a");
    // Both declare it: neither run decides.
    declare(&["a", "x"], &["b", "x"]);
    for arguments in [&["plan"][..], &["plan", "--app", "b"]] {
        let run = stratos(&place, arguments, 1);
        assert!(run.err.contains("apps a and b would both make dev/ConfigMap/x"), "{}", run.err);
    }
    // It is not known what b declares: nothing of a is deleted, and that is no success.
    declare(&["a"], &["b"]);
    place.write("m/b.yaml", "a: [\n");
    let run = stratos(&place, &["destroy", "--app", "a", "--yes"], 4);
    assert!(run.err.contains("it is not known what the apps declare that `--app` leaves out"), "{}", run.err);
    assert_eq!(owners(cluster, namespace), "a=a b=b x=a");
    stratos(&place, &["destroy", "--yes"], 0);
}

/// A Deployment that never runs, and what is behind it.
#[test]
fn no_wait_does_not_wait_for_what_is_behind_a_webhook() {
    let cluster = Cluster::shared_api_only();
    let place = place(cluster, "runs-no-wait", &[("hook", "m/*.yaml")]);
    place.write(
        "m/a.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: hook }\nspec:\n  selector: { matchLabels: { app: hook } }\n  \
         template: { metadata: { labels: { app: hook } }, spec: { containers: [{ name: hook, image: 'registry.example/hook:1' }] } }\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: { name: hook }\nspec: { selector: { app: hook }, ports: [{ port: 443 }] }\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: { name: runs-no-wait }\nwebhooks:\n\
         - name: a.runs.example.com\n  admissionReviewVersions: [v1]\n  sideEffects: None\n  failurePolicy: Ignore\n  \
         clientConfig: { service: { namespace: runs-no-wait, name: hook } }\n  \
         rules: [{ apiGroups: [runs.example.com], apiVersions: [v1], operations: [CREATE], resources: [things] }]\n",
    );
    let began = Instant::now();
    let run = stratos(&place, &["apply", "--yes", "--no-wait"], 0);
    assert!(run.out.contains("Applied: 3 done."), "{}", run.out);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    stratos(&place, &["destroy", "--yes"], 0);
    // With a wait, it ends with the time that the run has, and says what was waited for.
    let run = stratos(&place, &["apply", "--yes", "--timeout", "5s"], 5);
    assert!(run.out.contains("the time given by --timeout is over"), "{}", run.out);
    stratos(&place, &["destroy", "--yes"], 0);
}

/// A change of a field that can be set only once: everything else is done, and the run is no success.
#[test]
fn what_the_cluster_would_refuse_is_no_success_and_is_said() {
    let cluster = Cluster::shared_api_only();
    let place = place(cluster, "runs-refused", &[("a", "m/*.yaml")]);
    let service = |protocol: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: a }}\nspec: {{ selector: {{ a: b }}, ports: [{{ port: 80, protocol: {protocol} }}] }}\n"
        )
    };
    place.write("m/a.yaml", &service("TCP"));
    place.write("m/b.yaml", &config_maps(&["b"]));
    stratos(&place, &["apply", "--yes"], 0);
    place.write("m/a.yaml", &service("TELEX"));
    for arguments in [&["plan"][..], &["plan", "--detailed-exitcode"]] {
        let run = stratos(&place, arguments, 6);
        assert!(
            run.out.contains("Refused by the platform, and not done:") && run.out.contains("No changes, 1 refused by the platform."),
            "{}",
            run.out
        );
    }
    let run = stratos(&place, &["apply", "--yes"], 6);
    assert!(run.out.contains("Not all applied: nothing to do, 1 refused by the platform."), "{}", run.out);
    place.write("m/b.yaml", &config_maps(&["b", "c"]));
    let said = stratos(&place, &["apply", "--yes", "--output", "json"], 6).json();
    assert_eq!((&said["verdict"], &said["exit_code"], &said["planned"]["refused"]), (&"refused".into(), &6.into(), &1.into()), "{said}");
    assert!(said["held"][0]["why"]["refused"]["why"].as_str().is_some_and(|why| why.contains("TELEX")), "{said}");
    assert!(owners(cluster, "runs-refused").contains("c=a"));
    stratos(&place, &["destroy", "--yes"], 0);
}

/// An object without health of its own is there, also where an app has only such objects.
#[test]
fn an_app_of_objects_without_health_is_not_missing() {
    let cluster = Cluster::shared_api_only();
    let objects = [
        ("service", "v1", "Service", "spec: { selector: { a: b }, ports: [{ port: 80 }] }"),
        ("ingress", "networking.k8s.io/v1", "Ingress", "spec: { defaultBackend: { service: { name: a, port: { number: 80 } } } }"),
        ("config", "v1", "ConfigMap", "data: { a: b }"),
        ("role", "rbac.authorization.k8s.io/v1", "Role", "rules: []"),
        (
            "cron",
            "batch/v1",
            "CronJob",
            "spec: { schedule: '0 0 1 1 *', suspend: true, jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: a, image: a }] } } } } }",
        ),
    ];
    let files: Vec<(String, String)> = objects.iter().map(|(app, ..)| ((*app).to_owned(), format!("m/{app}.yaml"))).collect();
    let apps: Vec<(&str, &str)> = files.iter().map(|(app, file)| (app.as_str(), file.as_str())).collect();
    let place = place(cluster, "runs-status", &apps);
    for (app, version, kind, rest) in objects {
        place.write(&format!("m/{app}.yaml"), &format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: {app} }}\n{rest}\n"));
    }
    let missing = stratos(&place, &["status"], 5).out;
    assert_eq!(missing.matches("missing").count(), objects.len(), "{missing}");
    stratos(&place, &["apply", "--yes"], 0);
    let status = stratos(&place, &["status"], 0).out;
    assert_eq!(status.matches("healthy").count(), objects.len(), "{status}");
    let said = stratos(&place, &["status", "--app", "config", "--output", "json"], 0).json();
    assert_eq!(said["environments"][0]["apps"][0]["without_health"], 1, "{said}");
    stratos(&place, &["destroy", "--yes"], 0);
}

/// A template that renders nothing in this environment, beside one that does not.
#[test]
fn a_template_that_renders_nothing_is_no_object_and_no_mistake() {
    let cluster = Cluster::shared_api_only();
    let place = place(cluster, "runs-nothing", &[("a", "m/*.yaml.j2"), ("b", "n/*.yaml")]);
    place.write(
        "m/a.yaml.j2",
        "{% if vars.stage == \"prod\" %}\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: only-prod }\n{% endif %}\n",
    );
    place.write("n/b.yaml", &config_maps(&["b"]));
    place.write("n/c.yaml", "# nothing yet\n---\n");
    stratos(&place, &["validate"], 0);
    stratos(&place, &["apply", "--yes"], 0);
    stratos(&place, &["status"], 0);
    stratos(&place, &["apply", "--yes", "--var", "stage=prod"], 0);
    assert_eq!(owners(cluster, "runs-nothing"), "b=b only-prod=a");
    stratos(&place, &["apply", "--yes"], 0);
    assert_eq!(owners(cluster, "runs-nothing"), "b=b");
    stratos(&place, &["destroy", "--yes"], 0);
}

/// A resource whose finalizer nobody serves.
#[test]
fn a_destroy_ends_with_its_timeout_and_names_the_finalizer() {
    let cluster = Cluster::shared_api_only();
    let place = place(cluster, "runs-finalizer", &[("a", "m/*.yaml")]);
    place.write("m/a.yaml", &config_maps(&["kept"]));
    stratos(&place, &["apply", "--yes"], 0);
    let finalizers = |list: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{list}}}}}");
        cluster.kubectl(&["--namespace", "runs-finalizer", "patch", "configmap", "kept", "--type=merge", "--patch", &patch]);
    };
    finalizers("[\"runs.example.com/never\"]");
    let began = Instant::now();
    let run = stratos(&place, &["destroy", "--yes", "--timeout", "5s"], 4);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(run.out.contains("waits for its finalizers: runs.example.com/never"), "{}", run.out);
    assert!(run.out.contains("kubectl patch configmaps/kept --namespace=runs-finalizer"), "{}", run.out);
    finalizers("null");
    stratos(&place, &["destroy", "--yes"], 0);
}

/// The namespace holds what is not ours: it stays, and that is said.
#[test]
fn a_namespace_that_stays_is_named_with_the_reason() {
    let cluster = Cluster::shared_api_only();
    let place = place(cluster, "runs-namespace", &[("a", "m/*.yaml")]);
    place.write("m/a.yaml", &config_maps(&["a"]));
    stratos(&place, &["apply", "--yes"], 0);
    cluster.kubectl(&["--namespace", "runs-namespace", "create", "secret", "generic", "somebodys"]);
    let run = stratos(&place, &["destroy", "--yes"], 0);
    let why = "removing the namespace runs-namespace: it stays: it holds secrets/somebodys, which is not ours";
    assert!(run.out.contains(why), "{}", run.out);
    stratos(&place, &["apply", "--yes"], 0);
    let said = stratos(&place, &["destroy", "--yes", "--output", "json"], 0).json();
    assert!(said["applied"]["notes"][0].as_str().is_some_and(|note| note.contains(why)), "{said}");
    cluster.kubectl(&["delete", "namespace", "runs-namespace", "--wait=false"]);
}

/// An API of the cluster that does not answer: everything of ours goes, and the namespace stays, which a second run cannot tell any more.
#[test]
fn a_namespace_that_stays_because_of_an_api_that_is_down_is_named() {
    let cluster = Cluster::start_api_only();
    let place = place(&cluster, "runs-aggregated", &[("a", "m/*.yaml")]);
    place.write("m/a.yaml", &config_maps(&["a"]));
    stratos(&place, &["apply", "--yes"], 0);
    cluster.apply_yaml(
        "{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.runs.example.com},
          spec: {group: runs.example.com, version: v1, groupPriorityMinimum: 100, versionPriority: 100, service: {namespace: default, name: nobody}}}",
    );
    cluster.kubectl(&["wait", "--for=condition=Available=false", "apiservice/v1.runs.example.com", "--timeout=60s"]);
    stratos(&place, &["plan", "--detailed-exitcode"], 0);
    let said = stratos(&place, &["destroy", "--yes", "--output", "json"], 0).json();
    let note = said["applied"]["notes"][0].as_str().unwrap_or_default();
    assert!(
        note.contains("removing the namespace runs-aggregated: it stays:") && note.contains("do not answer: runs.example.com"),
        "{said}"
    );
    assert_eq!(owners(&cluster, "runs-aggregated"), "");
    let run = stratos(&place, &["destroy", "--yes"], 4);
    assert!(run.out.contains("the server of the group runs.example.com does not answer"), "{}", run.out);
}
