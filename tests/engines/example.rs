//! `examples/docker`, `examples/swarm` and `examples/kubernetes`, as their first lines say.

use crate::project::{answers, environment, get, provide, reached, stratos, works};
use crate::support::Place;

/// The example of a platform, on the tests' engine or cluster. It answers on this port.
fn example(platform: &str, port: u16) -> Place {
    for (name, tag) in [("nginx", "1.28-alpine"), ("redis", "8.2-alpine")] {
        provide(platform, name, tag);
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(platform);
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    let manifest = read("stratos.toml")
        .replace(&format!("platform = \"{platform}\"\n"), &environment(platform, &format!("{platform}-example")))
        .replace("CACHE_PASSWORD", "PASSWORD")
        .replace("publish = 8080", &format!("publish = {port}"))
        // Nothing forwards a port here.
        .replace("ports.http = { port = 80 }", &format!("ports.http = {{ port = 80, publish = {port} }}"));
    let place = Place::with(&manifest);
    if folder.join("templates").exists() {
        place.write("templates/shop.conf.j2", &read("templates/shop.conf.j2"));
    }
    place
}

/// The page, and another one that takes its place.
fn serves(platform: &str, place: &Place, port: u16) {
    works(place, || {
        let address = reached(platform, &format!("{platform}-example"), "web");
        answers(&address, port, &get("/"), "Good day");
        stratos(place, &["apply", "--yes", "--var", "page=<h1>Good evening</h1>"], 0);
        answers(&address, port, &get("/"), "Good evening");
        stratos(place, &["plan", "--detailed-exitcode", "--var", "page=<h1>Good evening</h1>"], 0);
    });
}

#[test]
fn docker() {
    serves("docker", &example("docker", 22090), 22090);
}

#[test]
fn kubernetes() {
    serves("kubernetes", &example("kubernetes", 23090), 23090);
}

#[test]
fn swarm() {
    let place = example("swarm", 21090);
    // Published where it runs, a port has room for one instance on a node.
    place.write("stratos.toml", &place.read("stratos.toml").replace("replicas = 2", "replicas = 1"));
    serves("swarm", &place, 21090);
}
