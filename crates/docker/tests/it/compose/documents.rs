//! What compose files become, on a swarm and on a plain engine. Nothing is asked here.

use std::collections::BTreeSet;

use stratos_engine::desired::Desired;
use stratos_engine::manifest::Manifest;

use super::support::{cases, compare, folder, text, translated, translated_in};

#[test]
fn files_become_these_documents() {
    let cases = cases();
    assert!(cases.len() >= 15);
    let mut differing = Vec::new();
    for case in cases {
        let manifest = Manifest::load(&folder("files").join(&case)).unwrap_or_else(|report| panic!("{case}: {report}"));
        for (environment, file) in [("test", "documents.txt"), ("plain", "documents-docker.txt")] {
            match translated_in(&manifest, environment) {
                Ok(desired) => compare(&folder("files").join(&case).join(file), &text(&desired.resources), &mut differing),
                Err(report) => differing.push(format!("{case} in {environment}: {report}")),
            }
        }
    }
    assert!(differing.is_empty(), "these documents differ (STRATOS_BLESS=1 writes them):\n{}", differing.join("\n"));
}

#[test]
fn everything_belongs_to_the_app() {
    for case in cases() {
        let manifest = Manifest::load(&folder("files").join(&case)).unwrap();
        let desired = translated(&manifest).unwrap();
        let ids: BTreeSet<_> = desired.resources.iter().map(|resource| &resource.id).collect();
        assert_eq!(ids.len(), desired.resources.len(), "{case}");
        assert!(desired.resources.iter().all(|resource| resource.marks.app.as_str() == "stack"), "{case}");
        assert!(desired.resources.iter().all(|resource| resource.marks.owner == desired.owner), "{case}");
    }
}

/// The value of a secret is in no document: only the resolver has it.
#[test]
fn a_secret_is_a_secret_in_the_documents() {
    let manifest = Manifest::load(&folder("files/web-and-database")).unwrap();
    let shown = text(&translated(&manifest).unwrap().resources);
    assert_eq!(shown.matches("(secret)").count(), 2, "{shown}");
}

/// What an engine in a container cannot do, and is in no case therefore.
#[test]
fn mounts_that_are_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[project]\nname = \"p\"\n[environments.test]\nplatform = \"swarm\"\n[apps.stack.platform]\nswarm.compose = \"c.yml\"\n";
    std::fs::write(folder.path().join("stratos.toml"), manifest).unwrap();
    let compose = "services:\n  a:\n    image: a\n    ulimits: { memlock: -1 }\n    volumes:\n      - /a:/a:rslave\n\
                   \x20     - { type: bind, source: /b, target: /b, bind: { propagation: shared } }\n      - /anonymous\n      - outside:/c\n\
                   volumes: { outside: { external: true } }\n";
    std::fs::write(folder.path().join("c.yml"), compose).unwrap();
    let shown = text(&translated(&Manifest::load(folder.path()).unwrap()).unwrap().resources);
    for line in [
        "volumes.\"/a\".bind.propagation = \"rslave\"",
        "volumes.\"/b\".bind.propagation = \"shared\"",
        "volumes.\"/anonymous\".type = \"volume\"",
        "volumes.\"/c\".source = \"outside\"",
        "ulimits.memlock.hard = -1",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

/// A second app of the environment that is bound to the files' main service finds it under the first app's name.
#[test]
fn another_app_finds_the_main_service() {
    let folder = folder("files/web-and-database");
    let text_of = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join("compose.yml"), text_of("compose.yml")).unwrap();
    let more = "\n[apps.reader]\nimage = \"reader:1\"\nbind.stack = {}\n";
    std::fs::write(copy.path().join("stratos.toml"), text_of("stratos.toml") + more).unwrap();
    let desired = translated(&Manifest::load(copy.path()).unwrap()).unwrap();
    let shown = text(&desired.resources);
    let reader = shown.split("\n\n").find(|part| part.starts_with("test/service/web-and-database-reader")).unwrap();
    for line in [
        "environment.STACK_HOST = \"web-and-database-stack\"",
        "environment.STACK_PORT = \"8080\"",
        "after test/service/web-and-database-stack-db",
        "after test/service/web-and-database-stack-web",
    ] {
        assert!(reader.contains(line), "{line} is not in\n{reader}");
    }
    let web = shown.split("\n\n").find(|part| part.starts_with("test/service/web-and-database-stack-web")).unwrap();
    for alias in ["stack", "web-and-database-stack"] {
        assert!(web.contains(&format!("networks.web-and-database-test.aliases.{alias} = true")), "{web}");
    }
}

/// What a project of one app, in an environment on a platform, becomes.
fn of(platform: &str, manifest: &str, files: &[(&str, &str)]) -> Result<Desired, String> {
    let folder = tempfile::tempdir().unwrap();
    let head = format!("[project]\nname = \"p\"\n[environments.test]\nplatform = \"{platform}\"\n");
    let app = format!("[apps.stack]\nplatform.{platform}.compose = \"c.yml\"\n");
    std::fs::write(folder.path().join("stratos.toml"), format!("{head}{app}{manifest}")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Manifest::load(folder.path()).and_then(|manifest| translated(&manifest)).map_err(|report| report.to_string())
}

const BOTH: [&str; 2] = ["swarm", "docker"];

#[test]
fn what_two_files_say_alike_is_there_once() {
    let manifest = "platform.swarm.compose = [\"c.yml\", \"c.yml\"]\n";
    let compose = "services: { a: { image: a, volumes: [\"/a:/a\"], configs: [c] } }\nconfigs: { c: { content: x } }\n";
    let twice = format!("[project]\nname = \"p\"\n[environments.test]\nplatform = \"swarm\"\n[apps.stack]\n{manifest}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratos.toml"), twice).unwrap();
    std::fs::write(folder.path().join("c.yml"), compose).unwrap();
    let desired = Manifest::load(folder.path()).and_then(|manifest| translated(&manifest)).unwrap();
    assert_eq!(text(&desired.resources), text(&of("swarm", "", &[("c.yml", compose)]).unwrap().resources));
}

#[test]
fn an_included_file_replaces_nothing() {
    let compose = "include: [other.yml]\nservices: { a: { image: mine } }\n";
    for platform in BOTH {
        let said = of(platform, "", &[("c.yml", compose), ("other.yml", "services: { a: { image: theirs } }\n")]).unwrap_err();
        assert!(said.contains("the service `a` is given twice"), "{said}");
        of(platform, "", &[("c.yml", compose), ("other.yml", "services: { a: { image: mine } }\n")]).unwrap();
    }
}

/// What a protected app uses is kept because it is used: a protected config could never be exchanged for another one.
#[test]
fn what_runs_is_protected_and_what_it_uses_is_not() {
    let compose = "services: { a: { image: a, configs: [c], volumes: [\"v:/v\"] } }\nconfigs: { c: { content: x } }\nvolumes: { v: }\n";
    for platform in BOTH {
        let desired = of(platform, "protect = true\n", &[("c.yml", compose)]).unwrap();
        let protected: Vec<&str> = desired.resources.iter().filter(|one| one.marks.protect).map(|one| &*one.id.kind).collect();
        assert_eq!(protected, [if platform == "swarm" { "service" } else { "container" }]);
    }
}

/// Where two containers would harm each other, the old one stops first; what is written counts before that.
#[test]
fn the_order_of_a_release_on_an_engine() {
    let order = |service: &str| {
        let compose = format!("services: {{ a: {{ image: a, {service} }} }}\nvolumes: {{ v: }}\n");
        text(&of("docker", "", &[("c.yml", &compose)]).unwrap().resources).contains("deploy.update.order = \"stop-first\"")
    };
    let first = ["volumes: [\"v:/v\"]", "volumes: [\"/srv:/v\"]", "ports: [\"53:53/udp\"]", "network_mode: host"];
    first.into_iter().for_each(|service| assert!(order(service), "{service}"));
    let beside = ["tty: true", "volumes: [\"v:/v:ro\"]", "volumes: [/v]", "tmpfs: /v", "ports: [\"80:80\", \"81\"]"];
    beside.into_iter().for_each(|service| assert!(!order(service), "{service}"));
    assert!(!order("volumes: [\"v:/v\"], deploy: { update_config: { order: start-first } }"));
    assert!(order("tty: true, deploy: { update_config: { order: stop-first } }"));
}

#[test]
fn what_is_external_is_used_and_not_made() {
    let compose = "services: { a: { image: a, volumes: [\"v:/v\"], networks: [n] } }\nvolumes: { v: { external: true } }\nnetworks: { n: { external: true, name: theirs } }\n";
    for platform in BOTH {
        let shown = text(&of(platform, "", &[("c.yml", compose)]).unwrap().resources);
        assert_eq!(shown.matches("test/").count(), 1, "{shown}");
        assert!(shown.contains("networks.theirs.") && shown.contains("volumes.\"/v\".source = \"v\""), "{shown}");
    }
}

/// An app that binds another one finds it on the environment's network; its services on networks of their own do not.
#[test]
fn services_that_are_bound_to_others_are_on_the_environments_network() {
    let compose = "services: { a: { image: a }, b: { image: b, networks: [n] } }\nnetworks: { n: }\n";
    for platform in BOTH {
        let manifest = "bind.other = {}\n[apps.other]\nimage = \"other:1\"\nports.http = 80\n";
        let shown = text(&of(platform, manifest, &[("c.yml", compose)]).unwrap().resources);
        let part = |name: &str| shown.split("\n\n").find(|part| part.contains(&format!("/p-stack-{name}\n"))).unwrap().to_owned();
        assert!(part("a").contains("networks.p-test.attached = true"), "{shown}");
        assert!(!part("b").contains("networks.p-test"), "{shown}");
    }
}
