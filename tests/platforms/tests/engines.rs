//! The servers themselves: they start, work and leave nothing behind.

use stratos_test_platforms::{Engines, shared_swarm};

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
    engines.docker(0, &["run", "--detach", "--name", "redis", "docker.io/library/redis:8.2-alpine", "redis-server"]);
    let ping = || engines.try_docker(0, &["exec", "redis", "redis-cli", "ping"]).stdout;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !ping().starts_with(b"PONG") {
        assert!(std::time::Instant::now() < deadline, "no answer: {}", engines.docker(0, &["logs", "redis"]));
    }
}
