use std::fs;
use std::path::Path;

use super::*;

fn options(written: &[(&str, &str)]) -> IndexMap<String, Scalar> {
    written.iter().map(|(key, value)| ((*key).to_owned(), Scalar::String((*value).to_owned()))).collect()
}

fn resolve_with(url: Option<&str>, written: &[(&str, &str)], surroundings: &Surroundings) -> Result<Resolved, PlatformError> {
    resolve(&Settings { kind: PlatformKind::Docker, url, options: &options(written) }, surroundings)
}

/// A Docker configuration with certificates of its own and the context `far`, which is in use where `current` says so.
fn machine(current: Option<&str>) -> (tempfile::TempDir, Surroundings) {
    let home = tempfile::tempdir().unwrap();
    let configuration = home.path().join(".docker");
    // The SHA-256 of `far`, as `docker context create far` names the folder.
    let id = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let meta = r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#;
    write(&configuration.join("contexts/meta").join(id).join("meta.json"), meta);
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        write(&configuration.join("contexts/tls").join(id).join("docker").join(file), "far");
        write(&configuration.join(file), "home");
    }
    if let Some(current) = current {
        write(&configuration.join("config.json"), &format!(r#"{{"auths":{{}},"currentContext":{current:?}}}"#));
    }
    let surroundings = Surroundings { configuration: Some(configuration), folder: home.path().to_owned(), ..Surroundings::default() };
    (home, surroundings)
}

#[test]
fn nothing_said_is_the_usual_socket() {
    let found = resolve_with(None, &[], &Surroundings::default()).unwrap();
    assert_eq!(found.endpoint, Endpoint::Unix("/var/run/docker.sock".into()));
    assert_eq!(found.origin, Origin::Default);
    assert!(
        found.describe().starts_with("It is reached at unix:///var/run/docker.sock (where engines usually listen). "),
        "{}",
        found.describe()
    );
}

#[test]
fn the_order_is_that_of_the_docker_command_line() {
    let (_home, machine) = machine(Some("far"));
    let with = |host: Option<&str>, context: Option<&str>| Surroundings {
        host: host.map(str::to_owned),
        context: context.map(str::to_owned),
        ..machine.clone()
    };
    let endpoint = |url, written: &[(&str, &str)], surroundings: &Surroundings| {
        let found = resolve_with(url, written, surroundings).unwrap();
        (found.endpoint.to_string(), found.origin)
    };
    let far = |by| ("https://far:2376".to_owned(), Origin::Context { name: "far".into(), by });
    assert_eq!(endpoint(None, &[], &with(None, None)), far("`docker context use`"));
    assert_eq!(endpoint(None, &[], &with(None, Some("far"))), far("DOCKER_CONTEXT"));
    assert_eq!(endpoint(None, &[], &with(Some("unix:///x"), Some("far"))), ("unix:///x".into(), Origin::DockerHost));
    assert_eq!(endpoint(None, &[("context", "far")], &with(Some("unix:///x"), None)), far("the option `context`"));
    assert_eq!(endpoint(Some("unix:///y"), &[], &with(Some("unix:///x"), Some("far"))), ("unix:///y".into(), Origin::Url));
    // `default` is no file: it stands for what there is without contexts.
    assert_eq!(
        endpoint(None, &[("context", "default")], &with(None, Some("far"))),
        ("unix:///var/run/docker.sock".into(), Origin::Default)
    );
}

#[test]
fn tls_takes_certificates_from_the_usual_places() {
    let (home, machine) = machine(None);
    let certificates =
        |url, written: &[(&str, &str)], surroundings: &Surroundings| match resolve_with(url, written, surroundings).unwrap().endpoint {
            Endpoint::Tls { address, certificates } => (address, certificates),
            other => panic!("{other}"),
        };
    let configuration = home.path().join(".docker");
    let (address, found) = certificates(Some("https://swarm-host/"), &[], &machine);
    assert_eq!(address, "swarm-host:2376");
    assert_eq!(found.ca, Some(configuration.join("ca.pem")));
    let (_, found) = certificates(Some("https://swarm-host/"), &[("ca", ".docker/ca.pem")], &machine);
    assert_eq!((found.ca, found.client), (Some(configuration.join("ca.pem")), None), "named certificates are all of them");
    fs::create_dir(home.path().join("certs")).unwrap();
    fs::write(home.path().join("certs/ca.pem"), "x").unwrap();
    let named = Surroundings { certificates: Some(home.path().join("certs")), tls: true, ..machine.clone() };
    let (address, found) = certificates(Some("tcp://swarm-host"), &[], &named);
    assert_eq!((address.as_str(), found.ca), ("swarm-host:2376", Some(home.path().join("certs/ca.pem"))));
    // No certificates anywhere: the system's authorities.
    let (_, found) = certificates(Some("tcp://swarm-host:2376"), &[], &Surroundings::default());
    assert_eq!(found, Certificates::default());
    // Without any word of TLS, `tcp://` is plain, as it is for `docker`.
    assert_eq!(resolve_with(Some("tcp://swarm-host"), &[], &machine).unwrap().endpoint, Endpoint::Http("swarm-host:2375".into()));
    assert_eq!(resolve_with(Some("http://swarm-host"), &[], &named).unwrap().endpoint, Endpoint::Http("swarm-host:2375".into()));
}

#[test]
fn a_context_that_is_not_there_is_an_error_that_names_the_others() {
    let (_home, machine) = machine(None);
    let error = resolve_with(None, &[("context", "near")], &machine).unwrap_err();
    assert!(error.why.starts_with("the option `context`: there is no Docker context \"near\" in "), "{error}");
    assert_eq!(error.hint.as_deref(), Some("there are: far"));
    let error = resolve_with(None, &[("context", "near")], &Surroundings::default()).unwrap_err();
    assert!(error.hint.unwrap().contains("DOCKER_CONFIG"));
}

#[test]
fn a_context_that_trusts_everyone_is_refused() {
    let (_home, machine) = machine(None);
    let meta = walk(machine.configuration.as_deref().unwrap());
    fs::write(meta, r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}"#).unwrap();
    let error = resolve_with(None, &[("context", "far")], &machine).unwrap_err();
    assert!(error.why.contains("skips the check"), "{error}");
}

fn walk(configuration: &Path) -> std::path::PathBuf {
    let folder = fs::read_dir(configuration.join("contexts/meta")).unwrap().next().unwrap().unwrap();
    folder.path().join("meta.json")
}

#[test]
fn settings_that_contradict_each_other_are_refused_where_they_stand() {
    let problems = |url, written: &[(&str, &str)]| -> Vec<String> {
        let written = options(written);
        let found = check(&Settings { kind: PlatformKind::Swarm, url, options: &written });
        found.into_iter().map(|problem| problem.at.join(".")).collect()
    };
    assert_eq!(problems(Some("https://x/"), &[("ca", "a"), ("cert", "b"), ("key", "c")]), Vec::<String>::new());
    assert_eq!(problems(Some("https://x/"), &[("context", "far")]), ["options.context"]);
    assert_eq!(problems(Some("unix:///x"), &[("ca", "a")]), ["options.ca"]);
    assert_eq!(problems(None, &[("ca", "a")]), ["options.ca"]);
    assert_eq!(problems(Some("http://x"), &[("ca", "a")]), ["options.ca"]);
    assert_eq!(problems(Some("tcp://x:2375"), &[("cert", "a")]), ["options.cert"]);
    assert_eq!(problems(Some("x:2375"), &[]), ["url"]);
}

#[test]
fn what_is_reached_and_how_is_said() {
    let (home, machine) = machine(None);
    let say = |url| resolve_with(Some(url), &[], &machine).unwrap().describe().replace(&*home.path().to_string_lossy(), "~");
    assert_eq!(
        say("https://swarm-host/"),
        "It is reached at https://swarm-host:2376. Its certificate is checked against ~/.docker/ca.pem; ours is ~/.docker/cert.pem."
    );
    assert!(say("ssh://root@host").contains("through your `ssh`"));
    assert!(say("http://host").contains("Nothing is encrypted"));
}
