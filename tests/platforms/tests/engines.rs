//! The servers themselves: they start, work and leave nothing behind.

use stratos_test_platforms::{Engines, eventually, shared_swarm, unique_name};

#[test]
fn a_swarm_has_the_images_and_a_registry() {
    let engines = shared_swarm();
    let images = engines.docker(0, &["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(images.contains(&format!("{}/web:1", engines.registry())), "{images}");
    assert_eq!(engines.docker(0, &["info", "--format", "{{.Swarm.LocalNodeState}}"]), "active");
}

#[test]
fn three_engines_are_one_swarm_until_one_is_killed() {
    let engines = Engines::start(3);
    engines.form_swarm(3);
    let nodes = engines.docker(0, &["node", "ls", "--format", "{{.Hostname}}"]);
    let mut nodes: Vec<&str> = nodes.lines().collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node0", "node1", "node2"]);
    engines.kill(2);
    assert!(!engines.try_docker(2, &["version"]).status.success());
    assert!(engines.try_docker(0, &["version"]).status.success());
    let folder = engines.socket(0).parent().expect("a folder").to_owned();
    drop(engines);
    assert!(!folder.exists(), "the folder is left: {}", folder.display());
}

#[test]
fn a_cartridge_image_is_pulled_under_its_public_name_and_works() {
    let engines = shared_swarm();
    stratos_test_platforms::provide(engines, 0, "redis", "8.2-alpine");
    let name = unique_name();
    engines.docker(0, &["run", "--detach", "--name", &name, "docker.io/library/redis:8.2-alpine", "redis-server"]);
    eventually("an answer", || {
        let ping = engines.try_docker(0, &["exec", &name, "redis-cli", "ping"]);
        if ping.stdout.starts_with(b"PONG") { Ok(()) } else { Err(engines.docker(0, &["logs", &name])) }
    });
    engines.docker(0, &["rm", "--force", &name]);
}
