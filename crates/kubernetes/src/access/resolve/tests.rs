use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::*;
use crate::answering::Server;

/// A certificate that vouches for itself, as a file in PEM form.
fn certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::new(vec!["master".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
}

/// A user's machine, with a repository that a manifest is in.
struct Machine {
    root: tempfile::TempDir,
    variables: HashMap<String, OsString>,
    url: Option<String>,
    options: IndexMap<String, Scalar>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let variables = [("HOME".to_owned(), root.path().join("home").into())].into();
        let machine = Self { root, variables, url: None, options: IndexMap::new() };
        machine.write("shop/.git/HEAD", "");
        machine.write("shop/deploy/stratos.toml", "");
        machine.write("home/notes", "");
        machine
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// With a variable; `ROOT` in it is the folder of all this.
    fn variable(mut self, name: &str, value: &str) -> Self {
        let value = value.replace("ROOT", &self.root.path().display().to_string());
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    fn option(mut self, key: &str, value: &str) -> Self {
        let value = value.replace("ROOT", &self.root.path().display().to_string());
        let value = value.parse().map_or(Scalar::String(value), Scalar::Bool);
        self.options.insert(key.to_owned(), value);
        self
    }

    fn resolve(&self) -> Result<Found, PlatformError> {
        let variables = self.variables.clone();
        let surroundings = Surroundings::new(move |name| variables.get(name).cloned(), &self.root.path().join("shop/deploy"));
        let surroundings = Surroundings { service_account: self.root.path().join("pod"), ..surroundings };
        resolve(&Settings { url: self.url.as_deref(), namespace: None, options: &self.options }, &surroundings)
    }

    /// How it is reached.
    #[track_caller]
    fn says(&self, expected: &str) {
        let said = self.resolve().unwrap().describe().replace(&self.root.path().display().to_string(), "ROOT");
        assert_eq!(said, expected);
    }

    /// Why it cannot be, and what to do.
    #[track_caller]
    fn refuses(&self, parts: &[&str]) {
        let error = self.resolve().unwrap_err();
        let said = format!("{} {}", error.why, error.hint.unwrap_or_default());
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

/// A kubeconfig with a context of each of these names, at these servers; the first one is the current one. The users are `of-<name>`
/// and are what `user` says.
fn kubeconfig(contexts: &[(&str, &str)], user: &str) -> String {
    let mut text = format!("apiVersion: v1\nkind: Config\ncurrent-context: {}\n", contexts[0].0);
    let mut section = |name: &str, entry: &dyn Fn(&str, &str) -> String| {
        text.push_str(&format!("{name}:\n"));
        contexts.iter().for_each(|(context, server)| text.push_str(&entry(context, server)));
    };
    section("clusters", &|context, server| format!("- name: c-{context}\n  cluster: {{ server: {server:?} }}\n"));
    section("users", &|context, _| format!("- name: of-{context}\n  user: {user}\n"));
    section("contexts", &|context, _| {
        format!("- name: {context}\n  context: {{ cluster: c-{context}, user: of-{context}, namespace: ns-{context} }}\n")
    });
    text
}

const TOKEN: &str = "{ token: hunter2 }";
/// What the description of a server says that has no authority of its own.
const SYSTEM: &str = "Its certificate is checked against the authorities of the system.";

#[test]
fn nothing_said_is_the_current_context() {
    let machine = Machine::new();
    machine.refuses(&["there is no kubeconfig: ~/.kube/config was looked for", "KUBECONFIG"]);
    machine.write("home/.kube/config", &kubeconfig(&[("dev", "https://dev:6443"), ("prod", "https://prod")], TOKEN));
    machine.says(&format!(
        "It is reached at https://dev:6443/ as the user \"of-dev\" of the context \"dev\" in ~/.kube/config, with a token. {SYSTEM}"
    ));
    let found = machine.resolve().unwrap();
    assert_eq!(found.namespace_of_context.as_deref(), Some("ns-dev"));
    assert!(!format!("{found:?}").contains("hunter2"));
}

#[test]
fn a_context_is_found_by_its_name_or_the_others_are_listed() {
    let machine = Machine::new().option("context", "prod");
    machine.write("home/.kube/config", &kubeconfig(&[("dev", "https://dev"), ("prod", "https://prod/k8s/c-1")], TOKEN));
    assert!(machine.resolve().unwrap().describe().starts_with("It is reached at https://prod:443/k8s/c-1 as the user \"of-prod\""));
    machine.option("context", "prd").refuses(&["there is no context \"prd\" in ~/.kube/config", "there are: dev, prod"]);
}

#[test]
fn what_a_context_lacks_is_named() {
    let machine = Machine::new();
    let text = kubeconfig(&[("dev", "https://dev")], TOKEN);
    machine.write("home/.kube/config", &text.replace("- name: of-dev", "- name: other"));
    machine.refuses(&["the context \"dev\" names the user \"of-dev\", which is not in ~/.kube/config"]);
    machine.write("home/.kube/config", &text.replace("- name: c-dev", "- name: other"));
    machine.refuses(&["the context \"dev\" names the cluster \"c-dev\""]);
    machine.write("home/.kube/config", &text.replace("current-context: dev", "current-context: ''"));
    machine.refuses(&["no context is the current one", "there are: dev"]);
    machine.write("home/.kube/config", &kubeconfig(&[("dev", "dev:6443")], TOKEN));
    machine.refuses(&["the cluster \"c-dev\" of the context \"dev\"", "it has no scheme"]);
}

/// The first file to say something counts, also where it says it in other words; what is not there is left out.
#[test]
fn the_files_of_kubeconfig_are_merged_as_kubectl_merges_them() {
    let machine = Machine::new().variable("KUBECONFIG", "ROOT/none:ROOT/one::ROOT/two");
    machine.refuses(&["ROOT/none".replace("ROOT", &machine.root.path().display().to_string()).as_str()]);
    machine.write("one", &kubeconfig(&[("dev", "https://first")], TOKEN));
    machine.write("two", &kubeconfig(&[("prod", "https://prod"), ("dev", "https://second")], TOKEN));
    machine.write("home/.kube/config", &kubeconfig(&[("home", "https://home")], TOKEN));
    let said = machine.resolve().unwrap().describe();
    assert!(said.contains("https://first:443/") && said.contains("/one,"), "{said}");
    let machine = machine.option("context", "prod");
    let said = machine.resolve().unwrap().describe();
    assert!(said.contains("https://prod:443/") && said.contains("/two,"), "{said}");
    machine.option("context", "home").refuses(&["there are: dev, prod"]);
}

#[test]
fn a_file_that_is_no_kubeconfig_is_refused_without_a_word_of_it() {
    let machine = Machine::new();
    for text in ["users:\n- name: x\n  user: hunter2\n", "users: [hunter2", "users:\n- name: x\n  user: { token: [hunter2] }\n"] {
        machine.write("home/.kube/config", text);
        let error = machine.resolve().unwrap_err();
        let said = format!("{error} {:?} {error:?}", error.hint);
        assert!(said.contains("it is no kubeconfig (line ") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn credentials_that_are_written_count_before_a_kubeconfig() {
    let machine = Machine::new().url("https://kubernetes-master/").option("token_env", "SHOP_TOKEN").option("ca", "ca.pem");
    machine.write("home/.kube/config", &kubeconfig(&[("prod", "https://kubernetes-master")], TOKEN));
    machine.refuses(&["the environment variable SHOP_TOKEN", "is not set"]);
    let machine = machine.variable("SHOP_TOKEN", "s3cret\n");
    machine.refuses(&["the option `ca` names ROOT/shop/deploy/ca.pem, which is no file"
        .replace("ROOT", &machine.root.path().display().to_string())
        .as_str()]);
    machine.write("shop/deploy/ca.pem", "no certificate");
    machine.refuses(&["there is no certificate in it"]);
    machine.write("shop/deploy/ca.pem", &certificate());
    machine.says(
        "It is reached at https://kubernetes-master:443/ with the token in the environment variable SHOP_TOKEN. \
         Its certificate is checked against ROOT/shop/deploy/ca.pem.",
    );
    let machine = Machine::new().url("https://m").option("token_file", "~/token");
    machine.refuses(&["the option `token_file` names ~/token, which is no file"]);
    machine.write("home/token", " \n");
    machine.refuses(&["there is no token in ~/token: it is empty"]);
    machine.write("home/token", "s3cret\n");
    machine.says(&format!("It is reached at https://m:443/ with the token in ~/token. {SYSTEM}"));
    let machine = machine.option("insecure_skip_tls_verify", "true");
    assert!(machine.resolve().unwrap().describe().contains("WARNING: its certificate is not checked"));
}

#[test]
fn a_url_finds_the_context_that_leads_to_the_same_server() {
    let machine = Machine::new().url("https://kubernetes-master/");
    machine.refuses(&["nothing says who we are at https://kubernetes-master:443/", "~/.kube/config", "token_env", "token_file", "cert"]);
    machine.write("home/.kube/config", &kubeconfig(&[("dev", "https://dev"), ("prod", "https://Kubernetes-Master:443")], TOKEN));
    let said = machine.resolve().unwrap().describe();
    assert!(said.contains("as the user \"of-prod\" of the context \"prod\" in ~/.kube/config, with a token"), "{said}");
    let machine = machine.option("context", "dev");
    machine.refuses(&["the context \"dev\" leads to https://dev:443/, and `url` to https://kubernetes-master:443/"]);
    // Of two, the current one.
    let machine = Machine::new().url("https://m");
    let two = kubeconfig(&[("one", "https://m"), ("two", "https://m")], TOKEN).replace("current-context: one", "current-context: two");
    machine.write("home/.kube/config", &two);
    assert!(machine.resolve().unwrap().describe().contains("the context \"two\""));
    machine.option("context", "one").says(&format!(
        "It is reached at https://m:443/ as the user \"of-one\" of the context \"one\" in ~/.kube/config, with a token. {SYSTEM}"
    ));
}

#[test]
fn the_authority_and_the_certificate_in_a_kubeconfig_are_used() {
    use base64::Engine as _;
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let machine = Machine::new();
    let user = format!("{{ client-certificate-data: {}, client-key-data: {} }}", encoded("c"), encoded("k"));
    let with = |data: &str| {
        kubeconfig(&[("dev", "https://dev")], &user)
            .replace("{ server: \"https://dev\" }", &format!("{{ server: \"https://dev\", {data} }}"))
    };
    machine.write("home/.kube/config", &with(&format!("certificate-authority-data: {}", encoded(&certificate()))));
    machine.says(
        "It is reached at https://dev:443/ as the user \"of-dev\" of the context \"dev\" in ~/.kube/config, with a client certificate. \
         Its certificate is checked against the authority in the kubeconfig.",
    );
    let error = machine.resolve().unwrap().connect().err().unwrap();
    assert!(error.attempted.contains("preparing the connection to https://dev"), "{error}");
    machine.write("home/.kube/config", &with("certificate-authority-data: '%'"));
    machine.refuses(&["`certificate-authority-data` in the kubeconfig is not in base64"]);
    machine.write("home/.kube/config", &with("certificate-authority: pki/ca.crt, tls-server-name: api"));
    machine.write("home/.kube/pki/ca.crt", &certificate());
    let said = machine.resolve().unwrap().describe();
    assert!(said.ends_with("Its certificate is checked against ~/.kube/pki/ca.crt, for the name api."), "{said}");
}

#[test]
fn a_pod_is_its_service_account_where_there_is_no_kubeconfig() {
    let machine = Machine::new().variable("KUBERNETES_SERVICE_HOST", "fd00::1").variable("KUBERNETES_SERVICE_PORT", "6443");
    machine.refuses(&["there is no kubeconfig"]);
    machine.write("pod/token", "s3cret");
    machine.write("pod/namespace", "ci\n");
    machine.write("pod/ca.crt", &certificate());
    machine.says(
        "It is reached at https://[fd00::1]:6443/ as the service account of this pod, with its token. \
         Its certificate is checked against the authority that the pod was given.",
    );
    assert_eq!(machine.resolve().unwrap().namespace_of_context.as_deref(), Some("ci"));
    machine.write("home/.kube/config", &kubeconfig(&[("dev", "https://dev")], TOKEN));
    assert!(machine.resolve().unwrap().describe().contains("https://dev:443/"));
    assert!(machine.option("in_cluster", "true").resolve().unwrap().describe().contains("the service account of this pod"));
    Machine::new().option("in_cluster", "true").refuses(&["KUBERNETES_SERVICE_HOST is not set"]);
}

#[test]
fn plain_http_needs_no_credentials_and_no_authorities() {
    let machine = Machine::new().url("http://127.0.0.1:8001");
    machine.says(
        "It is reached at http://127.0.0.1:8001/ without credentials. \
         Nothing is encrypted: whoever is in between can read and change everything.",
    );
    // The client would read the authorities of the system, and fail where there are none.
    assert_eq!(machine.resolve().unwrap().config.root_cert.as_deref(), Some(&[][..]));
}

#[test]
fn a_proxy_is_named_without_its_password() {
    let machine = Machine::new().variable("HTTPS_PROXY", "http://ada:hunter2@proxy:3128").variable("NO_PROXY", ".corp");
    machine.write("home/.kube/config", &kubeconfig(&[("dev", "https://dev")], TOKEN));
    let said = machine.resolve().unwrap().describe();
    assert!(said.ends_with("It goes through the proxy proxy:3128.") && !said.contains("hunter2"), "{said}");
    machine.write("home/.kube/config", &kubeconfig(&[("dev", "https://api.corp")], TOKEN));
    assert!(!machine.resolve().unwrap().describe().contains("proxy"));
}

#[test]
fn what_does_not_go_together_is_told_at_its_key() {
    let keys = |url: Option<&str>, written: &[(&str, Scalar)]| {
        let options = written.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let problems = check(&Settings { url, namespace: None, options: &options });
        problems.iter().map(|problem| problem.at.join(".")).collect::<Vec<_>>()
    };
    let (text, yes) = (|value: &str| Scalar::String(value.to_owned()), Scalar::Bool(true));
    let https = Some("https://m");
    assert_eq!(keys(None, &[]), [""; 0]);
    assert_eq!(keys(https, &[("token_env", text("T")), ("ca", text("c"))]), [""; 0]);
    assert_eq!(keys(Some("m:6443"), &[("contxt", text("x"))]), ["url", "options.contxt"]);
    assert_eq!(keys(None, &[("token_env", text("T")), ("ca", text("c"))]), ["options.token_env", "options.ca"]);
    assert_eq!(keys(https, &[("cert", text("c"))]), ["options.cert"]);
    assert_eq!(keys(https, &[("key", text("c"))]), ["options.key"]);
    assert_eq!(keys(https, &[("token_env", text("T")), ("token_file", text("f"))]), ["options.token_env"]);
    assert_eq!(keys(https, &[("token_env", text("T")), ("context", text("c"))]), ["options.context"]);
    let both = [("token_env", text("T")), ("ca", text("c")), ("insecure_skip_tls_verify", yes.clone())];
    assert_eq!(keys(https, &both), ["options.insecure_skip_tls_verify"]);
    assert_eq!(keys(Some("http://m"), &[("token_env", text("T")), ("ca", text("c"))]), ["options.ca"]);
    assert_eq!(keys(https, &[("in_cluster", yes.clone())]), ["options.in_cluster"]);
    assert_eq!(
        keys(None, &[("in_cluster", yes.clone()), ("context", text("c")), ("cert", text("c"))]),
        ["options.context", "options.cert"]
    );
    // A manifest must not take away what a user's kubeconfig asks of a server.
    for key in ["insecure_skip_tls_verify", "ca", "tls_server_name"] {
        let value = if key.starts_with("insecure") { yes.clone() } else { text("x") };
        assert_eq!(keys(https, &[(key, value)]), [format!("options.{key}")]);
    }
}

/// A kubeconfig whose plugin leaves a trace and prints a token, another one each time.
fn with_plugin(machine: &Machine, server: &str) -> String {
    let program = machine.write(
        "bin/who",
        &format!(
            "#!/bin/sh\nn=$(cat '{0}/runs' 2>/dev/null | wc -l)\necho run >> '{0}/runs'\n\
             echo '{{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{{\"token\":\"token-'$n'\"}}}}'\n",
            machine.root.path().display()
        ),
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let exec = format!(
        "{{ exec: {{ apiVersion: client.authentication.k8s.io/v1, command: {:?}, interactiveMode: Never }} }}",
        program.display().to_string()
    );
    kubeconfig(&[("dev", server)], &exec)
}

fn runs(machine: &Machine) -> usize {
    fs::read_to_string(machine.root.path().join("runs")).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn a_plugin_of_the_users_own_runs_once_and_not_before_the_first_request() {
    let server = Server::start(|_| (200, "{}".to_owned())).await;
    let machine = Machine::new();
    machine.write("home/.kube/config", &with_plugin(&machine, &server.url));
    let found = machine.resolve().unwrap();
    assert!(found.describe().contains("with what the credential plugin `"), "{}", found.describe());
    let connection = found.connect().unwrap();
    assert_eq!(runs(&machine), 0);
    let (one, other) = tokio::join!(connection.get("/api"), connection.get("/apis"));
    assert!(one.is_ok() && other.is_ok());
    assert!(connection.again().get("/api").await.is_ok());
    assert_eq!(runs(&machine), 1);
    assert!(server.asked().iter().all(|head| head.to_lowercase().contains("authorization: bearer token-0")), "{:?}", server.asked());
}

#[tokio::test]
async fn a_plugin_runs_again_once_when_the_server_does_not_know_what_it_said() {
    let known = |head: &str| if head.contains("token-1") { (200, "{}".to_owned()) } else { (401, "{}".to_owned()) };
    let server = Server::start(known).await;
    let machine = Machine::new();
    machine.write("home/.kube/config", &with_plugin(&machine, &server.url));
    let connection = machine.resolve().unwrap().connect().unwrap();
    let (one, other) = tokio::join!(connection.get("/api"), connection.get("/apis"));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(runs(&machine), 2);
    let stubborn = Server::start(|_| (401, "{}".to_owned())).await;
    machine.write("home/.kube/config", &with_plugin(&machine, &stubborn.url));
    assert!(machine.resolve().unwrap().connect().unwrap().get("/api").await.is_err());
    assert_eq!((runs(&machine), stubborn.asked().len()), (4, 2));
}

#[tokio::test]
async fn a_plugin_that_fails_is_named_and_nothing_is_sent() {
    let server = Server::start(|_| (200, "{}".to_owned())).await;
    let machine = Machine::new();
    machine.write("home/.kube/config", &with_plugin(&machine, &server.url));
    machine.write("bin/who", "#!/bin/sh\necho hunter2\necho 'log in first' >&2\nexit 3\n");
    let failure = machine.resolve().unwrap().connect().unwrap().get("/api").await.unwrap_err();
    assert!(failure.is_denied() && !failure.is_lost());
    let said = failure.why();
    assert!(said.contains("bin/who` failed (exit status: 3): log in first") && !said.contains("hunter2"), "{said}");
    assert!(server.asked().is_empty());
}

/// Whoever wrote the repository would run programs on the machine of everybody who plans.
#[test]
fn a_plugin_of_a_kubeconfig_that_came_with_a_repository_never_runs() {
    let refused = |machine: &Machine| {
        machine.refuses(&["runs a program (`exec`), and that file came with the repository: it was not run", "KUBECONFIG"]);
        assert_eq!(runs(machine), 0);
    };
    let machine = Machine::new();
    let text = with_plugin(&machine, "https://dev");
    let inside = machine.write("shop/deploy/kube/config", &text);
    machine.write("shop/config", &text);
    machine.write("elsewhere/config", &text);
    machine.write("home/.kube/more", &text);
    symlink(&inside, machine.root.path().join("link-into")).unwrap();
    symlink(machine.root.path().join("home/.kube/more"), machine.root.path().join("shop/deploy/link-out")).unwrap();
    symlink(machine.root.path().join("shop"), machine.root.path().join("elsewhere/shop")).unwrap();
    let mut machine = machine;
    for path in [
        "kube/config",
        "./kube/../kube/config",
        "../config",
        "../../elsewhere/config",
        "ROOT/shop/deploy/kube/config",
        "ROOT/elsewhere/../shop/config",
        "ROOT/link-into",
        "ROOT/elsewhere/shop/config",
    ] {
        machine = machine.option("kubeconfig", path);
        refused(&machine);
    }
    for path in ["~/.kube/more", "../../home/.kube/more", "link-out", "ROOT/elsewhere/config"] {
        machine = machine.option("kubeconfig", path);
        assert!(machine.resolve().is_ok(), "{path}: {:?}", machine.resolve());
    }
    // The user says so themselves.
    let machine = machine.variable("KUBECONFIG", "ROOT/shop/config").option("kubeconfig", "../config");
    assert!(machine.resolve().is_ok());
    assert_eq!(runs(&machine), 0);
}

#[test]
fn a_kubeconfig_that_came_with_a_repository_sends_no_file_of_its_user() {
    let machine = Machine::new().option("kubeconfig", "config");
    let secret = machine.write("home/.ssh/id", "s3cret");
    machine.write(
        "shop/deploy/config",
        &kubeconfig(&[("dev", "https://dev")], &format!("{{ tokenFile: {:?} }}", secret.display().to_string())),
    );
    machine.refuses(&["which did not come with the repository", "it would be sent to https://dev/"]);
    machine.write("shop/deploy/config", &kubeconfig(&[("dev", "https://dev")], "{ tokenFile: token }"));
    machine.write("shop/deploy/token", "t");
    assert!(machine.resolve().unwrap().describe().contains("with the token in "));
}

#[test]
fn an_auth_provider_runs_nothing() {
    let machine = Machine::new();
    let provider = |name: &str, config: &str| {
        kubeconfig(&[("dev", "https://dev")], &format!("{{ auth-provider: {{ name: {name}, config: {{ {config} }} }} }}"))
    };
    machine.write("home/.kube/config", &provider("gcp", "cmd-path: /bin/false"));
    machine.refuses(&["has the auth-provider \"gcp\", which is not supported", "exec"]);
    machine.write("home/.kube/config", &provider("oidc", "id-token: hunter2"));
    let said = machine.resolve().unwrap().describe();
    assert!(said.contains("with the id-token in it") && !said.contains("hunter2"), "{said}");
}

/// Two ways of saying one thing, and one name twice: kubectl refuses them, too.
#[test]
fn a_kubeconfig_that_kubectl_refuses_is_refused() {
    let one = kubeconfig(&[("dev", "https://dev")], TOKEN);
    let twice = |section: &str, next: &str| {
        let (before, after) = one.split_once(&format!("{section}:\n")).unwrap();
        let entry = after.split(&format!("\n{next}:")).next().unwrap().trim_end();
        format!("{before}{section}:\n{entry}\n{after}")
    };
    let cluster = |more: &str| one.replace("{ server: \"https://dev\" }", &format!("{{ server: \"https://dev\", {more} }}"));
    let user = |user: &str| kubeconfig(&[("dev", "https://dev")], user);
    for (text, parts) in [
        (twice("clusters", "users"), ["has the cluster \"c-dev\" twice", "kubectl refuses such a file"]),
        (twice("users", "contexts"), ["has the user \"of-dev\" twice", "rename one of both"]),
        (twice("contexts", "nothing"), ["has the context \"dev\" twice", "rename one of both"]),
        (
            cluster("insecure-skip-tls-verify: true, certificate-authority-data: YQ=="),
            ["the cluster \"c-dev\" has both `certificate-authority-data` and `insecure-skip-tls-verify`", "remove one of both"],
        ),
        (
            cluster("insecure-skip-tls-verify: true, certificate-authority: ca.crt"),
            ["`certificate-authority` and `insecure-skip-tls-verify`", "kubectl"],
        ),
        (
            cluster("certificate-authority-data: YQ==, certificate-authority: ca.crt"),
            ["`certificate-authority` and `certificate-authority-data`", "kubectl"],
        ),
        (
            user("{ token: hunter2, username: a, password: b }"),
            ["the user \"of-dev\" has both `token` and `username`", "remove one of both from the user"],
        ),
        (
            user("{ client-certificate: a, client-certificate-data: YQ== }"),
            ["`client-certificate` and `client-certificate-data`", "kubectl"],
        ),
        (user("{ client-key: a, client-key-data: YQ== }"), ["`client-key` and `client-key-data`", "kubectl"]),
    ] {
        let machine = Machine::new();
        machine.write("home/.kube/config", &text);
        machine.refuses(&parts);
        let said = machine.resolve().unwrap_err();
        assert!(!format!("{said:?}").contains("hunter2"));
    }
    // Entries that are not asked for may hold anything, and another file may have the same name again: the first one counts.
    let machine = Machine::new().variable("KUBECONFIG", "ROOT/home/one:ROOT/home/two");
    machine.write("home/one", &kubeconfig(&[("dev", "https://dev")], TOKEN));
    machine.write("home/two", &kubeconfig(&[("dev", "https://other")], TOKEN));
    assert!(machine.resolve().unwrap().describe().starts_with("It is reached at https://dev:443/"));
    // Without TLS nothing is checked, and both say nothing.
    let machine = Machine::new();
    machine.write(
        "home/.kube/config",
        &cluster("insecure-skip-tls-verify: true, certificate-authority-data: YQ==").replace("https://dev", "http://dev"),
    );
    machine.resolve().unwrap();
}
