use std::collections::HashMap;

use bollard::models::{MountBindOptions, MountTmpfsOptions, MountType, MountVolumeOptions};
use stratos_engine::desired::path::Path;

use super::*;

fn plain(leaf: &Leaf) -> Result<String, String> {
    match leaf {
        Leaf::Text(text) => Ok(text.to_string()),
        other => Err(other.to_string()),
    }
}

fn document(container: &Container) -> Document {
    let mut out = DocumentBuilder::default();
    container.write(&|source| Leaf::Text(source.into()), &mut out);
    out.build()
}

/// Everything that a container can have.
fn full() -> Container {
    let set = |members: &[&str]| members.iter().map(|member| (*member).to_owned()).collect();
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let table = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let mount = |target: &str, typ| Mount { target: Some(target.into()), typ: Some(typ), source: Some("x".into()), ..Mount::default() };
    Container {
        image: Some(Image::parse("web:1@sha256:aa")),
        entrypoint: list(&["/bin/web"]),
        command: list(&["--port", "80", ""]),
        environment: [("A".to_owned(), Some(String::new())), ("GONE".to_owned(), None)].into(),
        healthcheck: Some(HealthConfig {
            test: Some(list(&["CMD", "true"])),
            interval: Some(1_500_000_000),
            timeout: Some(2_000_000_000),
            retries: Some(4),
            start_period: Some(1_000_000),
            start_interval: Some(5_000_000),
        }),
        labels: table("team", "shop"),
        mounts: vec![
            Mount {
                bind_options: Some(MountBindOptions { create_mountpoint: Some(true), ..MountBindOptions::default() }),
                ..mount("/bind", MountType::BIND)
            },
            Mount {
                source: None,
                tmpfs_options: Some(MountTmpfsOptions { size_bytes: Some(1 << 20), mode: Some(0o700), options: None }),
                ..mount("/memory", MountType::TMPFS)
            },
            Mount {
                read_only: Some(true),
                volume_options: Some(MountVolumeOptions {
                    no_copy: Some(true),
                    labels: Some([("a".into(), "b".into())].into()),
                    driver_config: Some(bollard::models::MountVolumeOptionsDriverConfig {
                        name: Some("nfs".into()),
                        options: Some([("addr".into(), "10.0.0.1".into())].into()),
                    }),
                    subpath: Some("in/side".into()),
                }),
                ..mount("/volume", MountType::VOLUME)
            },
        ],
        hostname: Some("h".into()),
        user: Some("1000".into()),
        working_dir: Some("/srv".into()),
        stop_signal: Some("SIGINT".into()),
        stop_grace_period: Some(Duration(30_000)),
        init: Some(true),
        read_only: true,
        tty: true,
        stdin_open: true,
        cap_add: set(&["NET_ADMIN", "SYS_TIME"]),
        cap_drop: set(&["ALL"]),
        group_add: set(&["staff"]),
        extra_hosts: set(&["db:10.0.0.2"]),
        dns: list(&["10.0.0.53"]),
        dns_search: list(&["example.com"]),
        dns_opt: set(&["ndots:2"]),
        sysctls: table("net.core.somaxconn", "1024"),
        ulimits: [("nofile".to_owned(), (1024, 2048))].into(),
        log_driver: Some("local".into()),
        log_options: table("max-size", "1m"),
    }
}

#[test]
fn nothing_is_no_leaf() {
    assert!(document(&Container::default()).is_empty());
}

#[test]
fn a_document_comes_back_as_the_container_that_it_was_written_from() {
    let read = Container::read(&document(&full()), &plain).unwrap();
    assert!(read == full());
    assert_eq!(document(&read), document(&full()));
}

#[test]
fn what_is_no_field_is_an_error_that_names_it() {
    let of = |path: &[&str], leaf: Leaf| Container::read(&[(Path::new(path.iter().copied()), leaf)].into_iter().collect(), &plain).err();
    assert_eq!(of(&["colour"], Leaf::Bool(true)), Some("colour is not a field of a container".into()));
    assert_eq!(of(&["init"], Leaf::Integer(1)), Some("init: 1 is neither true nor false".into()));
    assert_eq!(of(&["deploy", "replicas"], Leaf::Integer(1)), None);
}

#[test]
fn a_secret_leaves_its_path_and_its_value_in_nothing_that_is_compared() {
    let path = Path::new(["environment", "PASSWORD"]);
    let secret = Leaf::Secret { text: None, fingerprint: None };
    let desired: Document = [(path.clone(), secret.clone()), (Path::new(["user"]), Leaf::Text("a".into()))].into_iter().collect();
    let (name, value) = secrets::label(&desired).unwrap();
    assert_eq!((name.as_str(), value.as_str()), ("stratos.secrets", r#"{"/environment/PASSWORD":null}"#));
    let mut live = DocumentBuilder::default();
    live.text(["environment", "PASSWORD"], "hunter2").text(["user"], "a");
    let (document, values) = secrets::hide(live, &[(name, value.clone())].into());
    assert_eq!(document, desired);
    assert_eq!(values.len(), 1);
    assert_eq!(secrets::label(&document).map(|(_, value)| value), Some(value));
}

#[test]
fn where_nobody_knows_what_is_secret_all_that_may_be_is_hidden() {
    let ours = |more: Option<(&str, &str)>| {
        let owner = [("stratos.project", "p"), ("stratos.environment", "dev")];
        owner.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<HashMap<_, _>>()
    };
    for (labels, hidden) in [(HashMap::new(), true), (ours(Some((secrets::LABEL, "{"))), true), (ours(None), false)] {
        let mut live = DocumentBuilder::default();
        live.text(["environment", "PASSWORD"], "hunter2").text(["user"], "a");
        let (document, values) = secrets::hide(live, &labels);
        assert_eq!(!format!("{document:?}").contains("hunter2"), hidden, "{labels:?}");
        assert_eq!(values.len(), usize::from(hidden));
        assert!(format!("{document:?}").contains("user"));
    }
}
