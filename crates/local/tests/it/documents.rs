//! The normal form: what is observed after an apply is what was translated, for every field.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use stratos_engine::compare::Difference;
use stratos_engine::desired::text::{Encoding, Segment, Text};
use stratos_engine::manifest::schema::App;
use stratos_engine::platform::{Field, Platform, Support};

use crate::bench::{Bench, get, secret, serving, workload};

/// An app with every field, at other values than the defaults.
fn rich() -> Value {
    serving(
        "healthy",
        json!({
            "replicas": 2,
            "ports": { "http": { "port": 8080 }, "admin": 9090 },
            "env": { "EMPTY": "", "PLAIN": "a", "DB": secret("x:"), "SELF": "$(PORT_HTTP)" },
            "files": {
                "/etc/app.conf": { "content": "a = 1\n", "mode": "0644" },
                "/etc/empty": { "content": "" },
                "/etc/key": { "content": secret(""), "mode": "0400" },
            },
            "health": {
                "ready": { "http": "/healthz", "interval": "500ms", "timeout": "3s", "retries": 5, "start_period": "1s" },
                "live": { "command": ["true"], "interval": "30s" },
            },
            "volumes": { "data": { "path": "/data" }, "all": { "path": "/all", "access": "shared" } },
            "rollout": { "max_surge": 2, "max_unavailable": 1, "timeout": "20s", "on_failure": "pause" },
            "protect": true,
        }),
    )
}

#[tokio::test]
async fn a_plan_right_after_an_apply_is_empty() {
    let bench = Bench::new();
    let desired = bench.resources("web", rich());
    bench.deploy(desired.clone()).await;
    bench.assert_nothing_to_do(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    bench.assert_nothing_to_do(desired.clone()).await;
    for resource in &desired {
        let live = bench.live(&resource.id).await.unwrap();
        assert_eq!(live.document.digest(), resource.document.digest(), "{}", resource.id);
        assert!(live.uid.is_some());
        assert_eq!(live.holds_data, resource.shape.holds_data);
    }
    assert!(bench.platform.requests() > 0);
}

#[tokio::test]
async fn defaults_that_are_written_out_change_nothing() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", serving("healthy", json!({ "health": { "http": "/healthz" }, "rollout": {} })))).await;
    let written = json!({
        "replicas": 1,
        "health": { "http": "/healthz", "port": "http", "interval": "10s", "timeout": "2s", "retries": 3, "start_period": "0s" },
        "rollout": { "strategy": "rolling", "max_surge": 1, "max_unavailable": 0, "timeout": "5m", "on_failure": "rollback" },
    });
    bench.assert_nothing_to_do(bench.resources("web", serving("healthy", written))).await;
}

#[tokio::test]
async fn a_document_holds_what_its_author_knows() {
    let bench = Bench::new();
    let paths = |body: Value| -> Vec<String> {
        let resources = bench.resources("web", body);
        resources[0].document.leaves().iter().map(|(path, _)| path.to_string()).collect()
    };
    assert_eq!(paths(json!({ "command": ["true"], "ports": { "http": 80 } })), ["command[0]", "ports.http.port"]);
    let two = json!({ "command": ["true"], "ports": { "admin": 81, "http": 80 } });
    assert_eq!(paths(two), ["command[0]", "ports.admin.port", "ports.http.port"]);
}

#[tokio::test]
async fn the_port_that_the_manifest_names_first_is_in_port() {
    let bench = Bench::new();
    let app = |ports: Value| bench.resources("web", serving("healthy", json!({ "ports": ports, "health": { "http": "/healthz" } })));
    for (first, ports) in [("admin", json!({ "admin": 81, "http": 80 })), ("http", json!({ "http": 80, "admin": 81 }))] {
        bench.deploy(app(ports)).await;
        // It listens on what is in PORT alone.
        bench.healthy(&workload("web")).await;
        let port = bench.live(&workload("web")).await.unwrap().attributes[&format!("ports.{first}")].parse().unwrap();
        let variable = |name: &str| get(port, &format!("/env/{name}")).unwrap();
        assert_eq!(variable("PORT"), variable(&format!("PORT_{}", first.to_uppercase())));
    }
    let differences = bench.plan(app(json!({ "admin": 81, "http": 80 }))).await.differences;
    let Difference::Differs { fields, .. } = &differences[0] else { panic!("{differences:?}") };
    assert_eq!(fields.iter().map(|field| field.path.to_string()).collect::<Vec<_>>(), ["health.ready.port", "ports.http.variable"]);
}

#[tokio::test]
async fn each_field_that_changes_is_seen_and_written() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", rich())).await;
    bench.healthy(&workload("web")).await;
    let changes: &[(&str, Value)] = &[
        ("/replicas", json!(1)),
        ("/ports/http/port", json!(8081)),
        ("/ports/admin", json!(9091)),
        ("/env/PLAIN", json!("b")),
        ("/env/EMPTY", json!("x")),
        ("/env/DB", json!(secret("y:"))),
        ("/files/~1etc~1app.conf/content", json!("a = 2\n")),
        ("/files/~1etc~1app.conf/mode", json!("0444")),
        ("/files/~1etc~1empty/content", json!("x")),
        ("/health/ready/http", json!("/")),
        ("/health/ready/interval", json!("400ms")),
        ("/health/ready/retries", json!(3)),
        ("/health/live/command", json!(["sh", "-c", "true"])),
        ("/volumes/data/path", json!("/other")),
        ("/volumes/data/access", json!("shared")),
        ("/rollout/max_surge", json!(1)),
        ("/rollout/on_failure", json!("rollback")),
        ("/protect", json!(false)),
    ];
    let mut body = rich();
    body["volumes"]["data"]["access"] = json!("replica");
    for (pointer, value) in changes {
        *body.pointer_mut(pointer).unwrap() = value.clone();
        let desired = bench.resources("web", body.clone());
        assert!(!bench.plan(desired.clone()).await.differences.is_empty(), "{pointer} was not seen");
        bench.deploy(desired.clone()).await;
        bench.assert_nothing_to_do(desired).await;
    }
    bench.healthy(&workload("web")).await;
    assert_eq!(bench.get("web", "/env/PLAIN").await, "b");
}

#[tokio::test]
async fn a_file_that_was_edited_by_hand_is_seen_and_mended() {
    let bench = Bench::new();
    let content = json!({ "files": { "/etc/app.conf": { "content": "a = 1\n" } } });
    let desired = bench.resources("web", serving("healthy", content));
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    type Edit = fn(&std::path::Path);
    let edits: [(Edit, &str); 3] = [
        (
            |file| {
                std::fs::remove_file(file).unwrap();
                std::fs::write(file, "a = 2\n").unwrap();
            },
            r#"files."/etc/app.conf""#,
        ),
        (|file| std::fs::remove_file(file).unwrap(), r#"files."/etc/app.conf".content"#),
        (|file| std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap(), r#"files."/etc/app.conf".mode"#),
    ];
    for (i, (edit, path)) in edits.into_iter().enumerate() {
        let file = format!("{}/etc/app.conf", bench.get("web", "/env/STRATOS_FILES").await);
        edit(file.as_ref());
        let differences = bench.plan(desired.clone()).await.differences;
        let [Difference::Differs { fields, .. }] = differences.as_slice() else { panic!("edit {i} was not seen: {differences:?}") };
        assert!(fields[0].path.to_string().starts_with(path), "{fields:?}");
        bench.deploy(desired.clone()).await;
        bench.healthy(&workload("web")).await;
        bench.assert_nothing_to_do(desired.clone()).await;
        assert_eq!(bench.get("web", "/file/etc/app.conf").await, "a = 1\n");
    }
}

#[tokio::test]
async fn a_volume_that_was_removed_by_hand_is_made_again_and_mounted() {
    let bench = Bench::new();
    let desired = bench.resources("web", serving("healthy", json!({ "volumes": { "data": { "path": "/data" } } })));
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    let place = bench.get("web", "/env/STRATOS_VOLUME_DATA").await;
    std::fs::remove_dir_all(std::path::Path::new(&place).parent().unwrap()).unwrap();
    let differences = bench.plan(desired.clone()).await.differences;
    assert!(matches!(differences.as_slice(), [Difference::Missing(_), Difference::Differs { .. }]), "{differences:?}");
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    bench.assert_nothing_to_do(desired).await;
    let place = bench.get("web", "/env/STRATOS_VOLUME_DATA").await;
    assert!(std::path::Path::new(&place).is_dir());
}

#[tokio::test]
async fn a_volume_that_all_share_keeps_what_the_first_one_had() {
    let bench = Bench::new();
    let body = |access: &str| serving("healthy", json!({ "volumes": { "data": { "path": "/data", "access": access } } }));
    bench.deploy(bench.resources("web", body("replica"))).await;
    bench.healthy(&workload("web")).await;
    let place = bench.get("web", "/env/STRATOS_VOLUME_DATA").await;
    bench.deploy(bench.resources("web", body("shared"))).await;
    bench.healthy(&workload("web")).await;
    assert_eq!(bench.get("web", "/env/STRATOS_VOLUME_DATA").await, place);
}

#[tokio::test]
async fn another_app_is_reached_at_its_address_and_the_reference_stays_a_reference() {
    let bench = Bench::new();
    bench.deploy(bench.resources("cache", serving("healthy", json!({ "env": { "VERSION": "cache" } })))).await;
    bench.healthy(&workload("cache")).await;
    let port: Text = [Segment::Attribute { of: Box::new(workload("cache")), name: "ports.http".into() }].into_iter().collect();
    let web = bench.resources("web", serving("healthy", json!({ "env": { "CACHE_HOST": "127.0.0.1", "CACHE_PORT": port } })));
    let cache = bench.resources("cache", serving("healthy", json!({ "env": { "VERSION": "cache" } })));
    let both = [web, cache].concat();
    bench.deploy(both.clone()).await;
    bench.healthy(&workload("web")).await;
    bench.assert_nothing_to_do(both).await;
    let given: u16 = bench.get("web", "/env/CACHE_PORT").await.parse().unwrap();
    assert_eq!(crate::bench::get(given, "/").unwrap(), "cache");
}

#[tokio::test]
async fn what_cannot_be_done_here_is_said() {
    let bench = Bench::new();
    let app = |body: Value| -> App { serde_json::from_value(body).unwrap() };
    assert!(bench.platform.check(&app(json!({ "image": "nginx" })))[0].contains("`command` is required"));
    assert!(bench.platform.check(&app(json!({ "command": ["web"] }))).is_empty());
    let secret = Text::from_iter([Segment::Secret { name: "db".into(), encoding: Encoding::Plain }]).to_rendered();
    let told = bench.platform.check(&app(json!({ "command": [secret], "env": { "PATH": secret } })));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(bench.platform.check(&app(json!({ "command": ["web", secret], "env": { "TOKEN": secret } }))).is_empty());
    assert!(matches!(bench.platform.support(Field::Image), Support::Ignored(_)));
    let refused = [Field::PortsUdp, Field::ResourcesCpu, Field::ResourcesCpuLimit, Field::ResourcesMemory, Field::VolumesSize];
    for field in Field::ALL {
        let unsupported = matches!(bench.platform.support(*field), Support::Unsupported(_));
        assert_eq!(unsupported, refused.contains(field), "{field}");
    }
}
