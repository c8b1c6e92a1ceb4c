//! `examples/swarm`, as its first lines say.

use crate::project::{answers, engines, environment, get, stratos, works};
use crate::support::Place;

#[test]
fn swarm() {
    for (name, tag) in [("nginx", "1.28-alpine"), ("redis", "8.2-alpine")] {
        stratos_test_platforms::provide(engines(), 0, name, tag);
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/swarm");
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    let place = Place::with(
        &read("stratos.toml")
            .replace("platform = \"swarm\"\n", &environment("swarm", "swarm-example"))
            .replace("CACHE_PASSWORD", "PASSWORD")
            .replace("publish = 8080", "publish = 21090")
            // Published where it runs, a port has room for one instance on a node.
            .replace("replicas = 2", "replicas = 1"),
    );
    place.write("templates/shop.conf.j2", &read("templates/shop.conf.j2"));
    works(&place, || {
        answers(21090, &get("/"), "Good day");
        stratos(&place, &["apply", "--yes", "--var", "page=<h1>Good evening</h1>"], 0);
        answers(21090, &get("/"), "Good evening");
        stratos(&place, &["plan", "--detailed-exitcode", "--var", "page=<h1>Good evening</h1>"], 0);
    });
}
