//! What cannot be done is said: `refused/<name>.yml` gives exactly the text beside it on a swarm,
//! `refused-by-an-engine/<name>.yml` on a plain engine.

use stratos_engine::manifest::Manifest;

use super::support::{compare, folder, translated};

const MANIFEST: &str = "\
[project]
name = \"refused\"

[environments.test]
platform = \"swarm\"

[secrets]
token = { env = \"TOKEN\" }

[apps.stack]
platform.swarm.compose = \"compose.yml\"
env.TOKEN = \"{{ secrets.token }}\"
";

fn report(manifest: &str, files: &[(&str, String)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratos.toml"), manifest).unwrap();
    for (name, text) in files {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    match Manifest::load(folder.path()).and_then(|manifest| translated(&manifest)) {
        Ok(desired) => format!("(accepted)\n{}\n", desired.degraded.join("\n")),
        Err(report) => format!("{report}\n"),
    }
}

fn cases(of: &str) -> Vec<std::path::PathBuf> {
    let mut cases: Vec<_> = std::fs::read_dir(folder(of)).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    cases.sort();
    cases
}

#[test]
fn each_mistake_gives_its_exact_text() {
    assert!(cases("refused").len() >= 8 && cases("refused-by-an-engine").len() >= 2);
    let mut differing = Vec::new();
    let on_an_engine = MANIFEST.replace("swarm", "docker");
    let of = |folder: &str, manifest| cases(folder).into_iter().map(move |path| (path, manifest)).collect::<Vec<_>>();
    for (path, manifest) in of("refused", MANIFEST).into_iter().chain(of("refused-by-an-engine", &on_an_engine)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let actual = report(manifest, &[("compose.yml", text)]);
        assert!(!actual.starts_with("(accepted)"), "{} is not refused", path.display());
        compare(&path.with_extension("txt"), &actual, &mut differing);
    }
    assert!(differing.is_empty(), "these texts differ (STRATOS_BLESS=1 writes them):\n{}", differing.join("\n"));
}

/// Whoever accepts that something is left out is told that it is.
#[test]
fn what_is_accepted_is_left_out_and_said() {
    let manifest = format!("{MANIFEST}allow_degraded = [\"compose.build\", \"compose.volumes.relative\"]\n");
    let compose = "services:\n  web:\n    image: web:1\n    build: .\n    volumes: [\"./x:/x\"]\n";
    let said = report(&manifest, &[("compose.yml", compose.to_owned())]);
    assert!(
        said.starts_with("(accepted)\ntest/stack: services.web.build is left out, as allow_degraded says: images are built before"),
        "{said}"
    );
    assert!(said.contains("services.web.volumes[1] is left out"), "{said}");
}

#[test]
fn the_part_itself_is_checked() {
    let compose = "services:\n  a: { image: a }\n  b: { image: b }\n";
    for (part, expected) in [
        ("composse = \"compose.yml\"", "stratos.toml:6:9: `compose` is missing"),
        ("composse = \"compose.yml\"", "has no key `composse` (did you mean `compose`?)"),
        ("compose = \"missing.yml\"", "the compose file `missing.yml` cannot be read: there is no such file"),
        ("compose = \"../outside.yml\"", "`../outside.yml` leads out of the folder"),
        ("compose = 3", "`compose` must be a path, or a list of paths"),
        ("compose = []", "`compose` names no file"),
        ("compose = \"compose.yml\", service = \"website\"", "there is no service `website` in the compose files (there are: a, b)"),
        ("compose = \"compose.yml\", servce = \"a\"", "a part with compose files has no key `servce` (did you mean `service`?)"),
    ] {
        let manifest =
            format!("[project]\nname = \"p\"\n[environments.test]\nplatform = \"swarm\"\n[apps.stack.platform]\nswarm = {{ {part} }}\n");
        let said = report(&manifest, &[("compose.yml", compose.to_owned())]);
        assert!(said.contains(expected), "{part}: {said}");
    }
    let manifest = MANIFEST.to_owned() + "ports.http = 80\n";
    let said = report(&manifest, &[("compose.yml", compose.to_owned())]);
    assert!(said.contains("nothing says which of its services other apps reach there (service = \"…\": one of a, b)"), "{said}");
    let manifest = MANIFEST.to_owned() + "replicas = 2\n";
    let said = report(&manifest, &[("compose.yml", compose.to_owned())]);
    assert!(said.contains("`replicas` is about a container of the app itself, and stack has none"), "{said}");
}

#[test]
fn a_link_does_not_lead_out() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("password"), "x").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratos.toml"), MANIFEST).unwrap();
    std::os::unix::fs::symlink(outside.path().join("password"), folder.path().join("link")).unwrap();
    let compose = "services: { web: { image: a, configs: [c] } }\nconfigs: { c: { file: link } }\n";
    std::fs::write(folder.path().join("compose.yml"), compose).unwrap();
    let said = Manifest::load(folder.path()).and_then(|manifest| translated(&manifest)).unwrap_err().to_string();
    assert_eq!(said, "compose.yml:2:23: `configs.c.file`: `link` leads out of this folder through a symbolic link");
}

/// A hostile file ends, with an error.
#[test]
fn circles_and_bombs_end() {
    let circle = "services: { a: { image: a, extends: b }, b: { extends: a } }\n";
    assert!(report(MANIFEST, &[("compose.yml", circle.to_owned())]).contains("in a circle"));
    let circle = "include: [compose.yml]\nservices: {}\n";
    assert!(report(MANIFEST, &[("compose.yml", circle.to_owned())]).contains("in a circle"));
    // Each of ten services extends one of the other file, which extends one of this: ten to the power of the depth.
    let services = |file: &str| -> String {
        let one = |n| format!("  s{n}: {{ image: a, extends: {{ file: {file}, service: s{n} }} }}\n");
        format!("services:\n{}", (0..10).map(one).collect::<String>())
    };
    let said = report(MANIFEST, &[("compose.yml", services("other.yml")), ("other.yml", services("compose.yml"))]);
    assert!(said.contains("in a circle"), "{said}");
}

/// The case with all fields names each one that is refused, and no other.
#[test]
fn all_refused_fields_have_their_text() {
    for of in ["refused", "refused-by-an-engine"] {
        let text = std::fs::read_to_string(folder(of).join("fields.txt")).unwrap();
        let compose = std::fs::read_to_string(folder(of).join("fields.yml")).unwrap();
        let fields = compose.lines().filter(|line| line.starts_with("    ") && !line.contains("image:")).count();
        assert_eq!(text.lines().count(), fields, "a line of the text for each field");
    }
}
