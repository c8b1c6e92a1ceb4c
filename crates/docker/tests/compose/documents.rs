//! What compose files become, on a swarm and on a plain engine. Nothing is asked here.

use std::collections::BTreeSet;

use stratos_engine::manifest::Manifest;

use crate::support::{cases, compare, folder, text, translated, translated_in};

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
