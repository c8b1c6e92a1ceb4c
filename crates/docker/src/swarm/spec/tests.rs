use std::collections::HashMap;

use bollard::models::{NetworkAttachmentConfig, TaskSpecContainerSpecPrivileges, TaskSpecPlacement};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::path::Path as LeafPath;
use stratos_engine::desired::quantity::{Bytes, Cpu, Duration};
use stratos_engine::desired::resource::ResourceId;

use super::*;
use crate::swarm::translate::reference;

fn dev() -> Name {
    Name::new("dev").unwrap()
}

fn leaf(path: &str, leaf: Leaf) -> (LeafPath, Leaf) {
    (LeafPath::new(path.split('|')), leaf)
}

fn text(value: &str) -> Leaf {
    Leaf::Text(value.into())
}

/// Everything that a service can have beside what runs in it.
fn full() -> Document {
    let config = ResourceId::new(&dev(), "config", "shop-web-app-conf-1");
    let secret = ResourceId::new(&dev(), "secret", "shop-web-password");
    let on = || Leaf::Bool(true);
    [
        leaf("image", Leaf::image("web:1@sha256:aa")),
        leaf("environment|MODE", text("one")),
        leaf("files|/etc/app.conf|config", reference(config)),
        leaf("files|/etc/app.conf|mode", text("0400")),
        leaf("files|/run/password|secret", reference(secret)),
        leaf("files|/run/password|uid", text("1000")),
        leaf("files|/run/password|gid", text("1000")),
        leaf("ports|80/tcp|published", Leaf::Integer(8080)),
        leaf("ports|80/tcp|mode", text("host")),
        leaf("ports|80/tcp#2|published", Leaf::Integer(8081)),
        leaf("ports|53/udp|mode", text("ingress")),
        leaf("networks|shop-dev|attached", on()),
        leaf("networks|shop-dev|aliases|web", on()),
        leaf("networks|shop-dev|driver_opts|a", text("b")),
        leaf("extra_hosts|db:10.0.0.2", on()),
        leaf("logging|driver", text("local")),
        leaf("logging|options|max-size", text("1m")),
        leaf("stop_grace_period", Leaf::Duration(Duration(30_000))),
        leaf("deploy|labels|team", text("shop")),
        leaf("deploy|replicas", Leaf::Integer(3)),
        leaf("deploy|endpoint_mode", text("dnsrr")),
        leaf("deploy|resources|limits|cpus", Leaf::Cpu(Cpu(1500))),
        leaf("deploy|resources|limits|pids", Leaf::Integer(100)),
        leaf("deploy|resources|reservations|memory", Leaf::Bytes(Bytes(64 << 20))),
        leaf("deploy|restart|condition", text("on-failure")),
        leaf("deploy|restart|delay", Leaf::Duration(Duration(1_000))),
        leaf("deploy|restart|max_attempts", Leaf::Integer(3)),
        leaf("deploy|restart|window", Leaf::Duration(Duration(60_000))),
        leaf("deploy|placement|constraints|node.role == worker", on()),
        leaf("deploy|placement|spread|[0000]", text("node.labels.zone")),
        leaf("deploy|placement|max_replicas_per_node", Leaf::Integer(1)),
        leaf("deploy|update|parallelism", Leaf::Integer(0)),
        leaf("deploy|update|delay", Leaf::Duration(Duration(2_000))),
        leaf("deploy|update|order", text("start-first")),
        leaf("deploy|update|failure_action", text("rollback")),
        leaf("deploy|update|monitor", Leaf::Duration(Duration(400))),
        leaf("deploy|update|max_failure_ratio", text("0.25")),
        leaf("deploy|rollback|order", text("start-first")),
    ]
    .into_iter()
    .collect()
}

fn resolve(leaf: &Leaf) -> Result<String, String> {
    match leaf {
        Leaf::Text(text) => Ok(text.to_string()),
        Leaf::Ref(of) => Ok(format!("id of {of}")),
        other => Err(other.to_string()),
    }
}

fn written(document: &Document) -> ServiceSpec {
    let files = HashMap::from([
        ("id of ${dev/config/shop-web-app-conf-1.id}".to_owned(), "shop-web-app-conf-1".to_owned()),
        ("id of ${dev/secret/shop-web-password.id}".to_owned(), "shop-web-password.2".to_owned()),
    ]);
    let owner = Owner { project: "shop".into(), environment: dev() };
    let beside = Beside { name: "shop-web", marks: labels::of_owner(&owner), file_names: &files, force_update: Some(4) };
    write(document, beside, &resolve).unwrap()
}

fn read_back(mut spec: ServiceSpec, present: u64) -> Document {
    // The engine puts ids in the place of networks' names.
    for attached in spec.task_template.iter_mut().flat_map(|task| task.networks.iter_mut().flatten()) {
        attached.target = attached.target.take().map(|name| format!("id of {name}"));
    }
    let networks = HashMap::from([("id of shop-dev".to_owned(), "shop-dev".to_owned())]);
    let secrets = BTreeMap::from([("shop-web-password".to_owned(), present)]);
    read(&spec, &Known { environment: &dev(), networks: &networks, secrets: Some(&secrets) }).document
}

#[test]
fn a_specification_comes_back_as_the_document_that_it_was_written_from() {
    assert_eq!(read_back(written(&full()), 2), full());
}

#[test]
fn what_is_a_default_is_in_no_document() {
    let image: Document = [leaf("image", Leaf::image("web:1"))].into_iter().collect();
    let spec = written(&image);
    // It is said to the engine all the same: zero would mean all at once.
    assert_eq!(spec.update_config.as_ref().and_then(|update| update.parallelism), Some(1));
    assert_eq!(read_back(spec, 1), image);
}

#[test]
fn restarts_by_hand_are_no_difference() {
    let mut spec = written(&full());
    spec.task_template.as_mut().unwrap().force_update = Some(17);
    assert_eq!(read_back(spec, 2), full());
}

#[test]
fn an_older_generation_of_a_secret_and_a_network_that_is_gone_lead_nowhere() {
    let document = read_back(written(&full()), 3);
    assert_eq!(document.get(&LeafPath::new(["files", "/run/password", "secret"])), Some(&Leaf::Unknown));
    let mut spec = written(&full());
    spec.task_template.as_mut().unwrap().networks =
        Some(vec![NetworkAttachmentConfig { target: Some("gone".into()), ..Default::default() }]);
    let document = read_back(spec, 2);
    assert!(document.leaves().contains(&leaf("networks|id of gone|attached", Leaf::Unknown)), "{document:?}");
}

#[test]
fn what_no_document_can_say_is_seen() {
    let mut spec = written(&full());
    let inside = spec.task_template.as_mut().unwrap().container_spec.as_mut().unwrap();
    inside.privileges = Some(TaskSpecContainerSpecPrivileges { no_new_privileges: Some(true), ..Default::default() });
    inside.oom_score_adj = Some(500);
    let other: Vec<String> =
        read_back(spec, 2).leaves().iter().map(|(path, _)| path.to_string()).filter(|p| p.starts_with("other")).collect();
    let inside = "other.TaskTemplate.ContainerSpec";
    assert_eq!(other, [format!("{inside}.OomScoreAdj"), format!("{inside}.Privileges.NoNewPrivileges")]);
}

/// What the engine, its command line and `docker stack deploy` fill in.
#[test]
fn what_others_fill_in_means_nothing() {
    let mut spec = written(&full());
    let task = spec.task_template.as_mut().unwrap();
    task.runtime = Some("container".into());
    let placement = task.placement.clone().unwrap_or_default();
    task.placement = Some(TaskSpecPlacement { platforms: Some(vec![]), ..placement });
    let inside = task.container_spec.as_mut().unwrap();
    inside.isolation = "default".parse().ok();
    inside.privileges = Some(TaskSpecContainerSpecPrivileges::default());
    inside.init = Some(false);
    inside.dns_config = Some(Default::default());
    inside.mounts = Some(vec![]);
    assert_eq!(read_back(spec, 2), full());
}

#[test]
fn a_field_that_a_service_has_not_is_an_error_that_names_it() {
    let files = HashMap::new();
    let beside = || Beside { name: "shop-web", marks: HashMap::new(), file_names: &files, force_update: None };
    let refused = |path: &str, value: Leaf| write(&[leaf(path, value)].into_iter().collect(), beside(), &resolve).unwrap_err();
    assert_eq!(refused("deploy|update|colour", text("red")), "deploy.update.colour is not a field of an update");
    assert_eq!(refused("deploy|mode", text("twice")), "deploy.mode: \"twice\" is not a mode of a service");
    assert_eq!(refused("ports|80|published", Leaf::Integer(1)), "ports.80.published: 80 is not <port>/<protocol>");
}
