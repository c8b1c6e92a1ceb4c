//! A Kubernetes of one node, in namespaces of its own.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::audit::{Mark, Request, requests};
use crate::image;
use crate::keeper::Keeper;
use crate::kubectl::Kubectl;
use crate::servers::{Address, Server};
use crate::wait::eventually;

/// What it needs, beside root: `.ci/run` installs it.
const NEEDS: &str = "needs root, Go, and Debian's packages docker.io, containernetworking-plugins, docker-registry, busybox-static, \
                     conntrack, curl, iproute2, iptables";

/// A part of a cluster that can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What keeps its state.
    Etcd,
    /// What all others talk to.
    ApiServer,
    /// What makes pods of deployments, and removes what belongs to nothing.
    ControllerManager,
    /// What gives pods to the node.
    Scheduler,
    /// What runs pods; they run on without it.
    Kubelet,
    /// What makes services' addresses lead to pods.
    Proxy,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "apiserver",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "proxy",
        }
    }
}

/// A cluster of one node with a registry, a default storage class `standard`, and names for services.
///
/// It ends with this value, or with the process.
pub struct Cluster {
    folder: PathBuf,
    kubeconfig: PathBuf,
    program: PathBuf,
    // What tells names apart that this value gives.
    counter: AtomicUsize,
    place: Place,
    kubectl: OnceLock<Kubectl>,
}

/// Commands of kubectl that end their process themselves, or need its standard input.
const ALONE: [&str; 2] = ["auth", "exec"];

enum Place {
    /// On this machine, in subnets of which this is the third number. The keeper is there where this process started it.
    Here { subnet: u8, keeper: Option<Keeper> },
    /// Somebody else's, with what stands in names of images.
    Elsewhere { registry: Option<String> },
}

impl Cluster {
    /// One for all tests, with the images of `image` in its registry: the cluster of the [`Servers`](crate::Servers) that are
    /// up, or one that this process starts. Where `STRATOS_TEST_KUBECONFIG` names an administrator's kubeconfig, that cluster is
    /// used in its place, and `STRATOS_TEST_REGISTRY` is a registry that it pulls from.
    ///
    /// # Panics
    /// When it does not start: a test that needs it has failed.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var_os("STRATOS_TEST_KUBECONFIG") {
            Some(kubeconfig) => Self::elsewhere(PathBuf::from(kubeconfig), std::env::var("STRATOS_TEST_REGISTRY").ok()),
            None => Server::Cluster.running().map_or_else(Self::start, Self::attached),
        })
    }

    /// One without a node for all tests: that of the [`Servers`](crate::Servers) that are up, or one that this process starts.
    ///
    /// # Panics
    /// When it does not start: a test that needs it has failed.
    pub fn shared_api_only() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Server::Api.running().map_or_else(Self::start_api_only, Self::attached))
    }

    fn attached(at: Address) -> Self {
        Self::here(at.folder, at.subnet, program(), None)
    }

    fn here(folder: PathBuf, subnet: u8, program: PathBuf, keeper: Option<Keeper>) -> Self {
        let kubeconfig = folder.join("certificates/admin.kubeconfig");
        Self { folder, kubeconfig, program, counter: AtomicUsize::new(0), place: Place::Here { subnet, keeper }, kubectl: OnceLock::new() }
    }

    pub(crate) fn address(&self) -> Option<Address> {
        match &self.place {
            Place::Here { subnet, .. } => Some(Address { folder: self.folder.clone(), subnet: *subnet }),
            Place::Elsewhere { .. } => None,
        }
    }

    /// Starts one of its own, for a test that breaks it or counts what it is asked.
    ///
    /// # Panics
    /// When it does not start: a test that needs it has failed.
    pub fn start() -> Self {
        let cluster = Self::start_kind("whole");
        cluster.push_images();
        cluster
    }

    /// Starts one without a node and a registry, in half the time: its pods wait for ever.
    ///
    /// # Panics
    /// When it does not start: a test that needs it has failed.
    pub fn start_api_only() -> Self {
        Self::start_kind("api")
    }

    fn start_kind(kind: &str) -> Self {
        let program = program();
        for subnet in 0..=255u8 {
            let folder = tempfile::Builder::new().prefix("st").tempdir().expect("a temporary folder").keep();
            match Keeper::start("cluster.sh", &folder, &[&subnet.to_string(), kind, &program.display().to_string()]) {
                Ok(keeper) => return Self::here(folder, subnet, program, Some(keeper)),
                // Another test has the subnet.
                Err(log) if log.contains("File exists") => drop(std::fs::remove_dir_all(&folder)),
                Err(log) => panic!("no Kubernetes for the tests ({NEEDS}): {log}"),
            }
        }
        panic!("all of 10.214.0.0/16 is taken by other tests");
    }

    fn elsewhere(kubeconfig: PathBuf, registry: Option<String>) -> Self {
        // Nobody would remove a temporary folder: the one cluster that is elsewhere lives as long as the process.
        let folder = crate::catalogue::cache().join("cluster-elsewhere");
        std::fs::create_dir_all(&folder).expect("a folder in the user's cache");
        let pushes = registry.is_some();
        let place = Place::Elsewhere { registry };
        let cluster = Self { folder, kubeconfig, program: program(), counter: AtomicUsize::new(0), place, kubectl: OnceLock::new() };
        if pushes {
            cluster.push_images();
        }
        cluster
    }

    fn push_images(&self) {
        for (version, behaviour) in image::VERSIONS {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let archive = image::archive(folder.path(), version);
            let settings = format!(r#"{{"Env": ["PATH=/bin", "BEHAVIOUR={behaviour}"], "Cmd": ["/bin/web"], "User": "1000"}}"#);
            self.push(&format!("web:{version}"), &archive, &settings);
            if version == "1" {
                // What holds a pod's network.
                self.push("pause:1", &archive, r#"{"Cmd": ["/bin/busybox", "sleep", "2147483647"]}"#);
            }
        }
    }

    /// Puts an image into the registry: its name and tag, a tar archive of its root file system, and an image's `config` as
    /// JSON.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub fn push(&self, name: &str, archive: &Path, settings: &str) {
        let mut command = Command::new(&self.program);
        command.args(["push", &self.registry(), name]).arg(archive).arg(settings).stdin(Stdio::null());
        succeeded(&format!("push of {name}"), command.output());
    }

    /// The administrator's way in.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's address.
    ///
    /// # Panics
    /// When the kubeconfig names none.
    pub fn url(&self) -> String {
        self.kubectl(&["config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}"])
    }

    /// A file with the certificate of who signed the API server's.
    ///
    /// # Panics
    /// When the cluster does not tell.
    pub fn ca_file(&self) -> PathBuf {
        let file = self.folder.join("ca.crt");
        let certificate = self.kubectl(&["get", "configmap", "kube-root-ca.crt", r"--output=jsonpath={.data.ca\.crt}"]);
        std::fs::write(&file, certificate).expect("a file in the temporary folder");
        file
    }

    /// Lets somebody in: a kubeconfig with a client certificate of that user, who has the rights that RBAC gives.
    ///
    /// # Panics
    /// When the cluster was not started here.
    pub fn kubeconfig_of(&self, user: &str, groups: &[&str]) -> PathBuf {
        self.must_be_here();
        let file = self.folder.join(format!("user-{}.kubeconfig", self.next()));
        let mut command = Command::new(&self.program);
        command.arg("user").arg(self.folder.join("certificates")).arg(&file).arg(user).args(groups).stdin(Stdio::null());
        succeeded(&format!("a certificate of {user}"), command.output());
        file
    }

    /// A token of a service account that exists. It is good for an hour.
    ///
    /// # Panics
    /// When there is none.
    pub fn token_of(&self, namespace: &str, service_account: &str) -> String {
        self.kubectl(&["create", "token", service_account, "--namespace", namespace])
    }

    /// Runs kubectl as the administrator, or as somebody else with `--kubeconfig`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn try_kubectl<S: AsRef<str>>(&self, arguments: &[S]) -> Output {
        if arguments.iter().any(|word| ALONE.contains(&word.as_ref())) {
            let mut command = self.command("kubectl");
            command.args(arguments.iter().map(AsRef::as_ref)).stdin(Stdio::null());
            return command.output().unwrap_or_else(|error| panic!("kubectl: {error}"));
        }
        self.kubectl.get_or_init(|| Kubectl::start(self.command("commands"))).run(arguments)
    }

    /// The same, which must succeed: what it prints, without the last line end.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl<S: AsRef<str>>(&self, arguments: &[S]) -> String {
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let what = format!("kubectl {}", words.join(" "));
        // `kubectl wait` fails on what has no conditions yet.
        let has_conditions = || {
            let output = self.try_kubectl(arguments);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            if error.contains("conditions accessor error: <nil>") { Err(error) } else { Ok(output) }
        };
        succeeded(&what, Ok(eventually(&what, has_conditions)))
    }

    /// Waits until the API serves the kind of a definition (`widgets.example.com`).
    ///
    /// # Panics
    /// When it does not.
    pub fn established(&self, definition: &str) {
        self.kubectl(&["wait", "--for=condition=Established", &format!("crd/{definition}"), "--timeout=60s"]);
        // Its condition is true before discovery has it.
        let (_, group) = definition.split_once('.').expect("a plural and a group");
        eventually(&format!("{definition} in what the API serves"), || {
            // Another group whose server is down is an error, too.
            let output = self.try_kubectl(&["api-resources", "--api-group", group, "--output=name"]);
            let served = String::from_utf8_lossy(&output.stdout).into_owned();
            if served.lines().any(|name| name == definition) { Ok(()) } else { Err(served) }
        });
    }

    /// `kubectl apply` of a text.
    ///
    /// # Panics
    /// When it fails.
    pub fn apply_yaml(&self, text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("a file in the temporary folder");
        let output = self.try_kubectl(&["apply", "--filename", &file.path().display().to_string()]);
        succeeded(&format!("kubectl apply of {text}"), Ok(output))
    }

    /// How kubectl is started where it is to be measured: the program and its first words. `KUBECONFIG` says where to.
    pub fn kubectl_program(&self) -> [String; 2] {
        [self.program.display().to_string(), "kubectl".to_owned()]
    }

    /// A part of the program that is a client of the cluster.
    fn command(&self, part: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(part).env("KUBECONFIG", &self.kubeconfig);
        // Nothing of the user's is read or left.
        command.env("HOME", &self.folder).env("KUBECACHEDIR", self.folder.join("kubectl"));
        command
    }

    /// The registry, `address:port`, as it stands in the names of its images. It speaks plain HTTP.
    ///
    /// # Panics
    /// When the cluster is somebody else's, and `STRATOS_TEST_REGISTRY` names none.
    pub fn registry(&self) -> String {
        match &self.place {
            Place::Here { subnet, .. } => format!("10.214.{subnet}.1:5000"),
            Place::Elsewhere { registry } => registry.clone().expect("STRATOS_TEST_REGISTRY names a registry that the cluster pulls from"),
        }
    }

    /// Where ports of the node are reached from here. Those of services and pods are reached under their own addresses too
    /// where the cluster was started here.
    ///
    /// # Panics
    /// When the cluster has no node.
    pub fn node_address(&self) -> String {
        match &self.place {
            Place::Here { subnet, .. } => format!("10.214.{subnet}.10"),
            Place::Elsewhere { .. } => {
                self.kubectl(&["get", "nodes", "--output=jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"])
            }
        }
    }

    /// Takes a part away, as a power cut would.
    ///
    /// # Panics
    /// When it was not there, or the cluster was not started here.
    pub fn kill(&self, part: Part) {
        self.keeper().tell(&format!("kill {}", part.name()), "killed");
    }

    /// Brings a part back that was taken away, with all that is on its disk. The API server answers then, if it is there.
    ///
    /// # Panics
    /// When it does not start.
    pub fn revive(&self, part: Part) {
        self.keeper().tell(&format!("start {}", part.name()), "started");
    }

    /// This moment, for [`Self::requests_since`].
    ///
    /// # Panics
    /// When the API server does not answer, or the cluster was not started here.
    pub fn mark(&self) -> Mark {
        let length = std::fs::metadata(self.audit_file()).map_or(0, |file| file.len());
        Mark(length + self.audit_log(length).len() as u64)
    }

    /// The requests to the API server since then, of everyone but the cluster's own parts. Other tests use the cluster at the same
    /// time: a test looks at the requests of its own user or in its own namespace.
    ///
    /// # Panics
    /// When the API server does not answer, or the cluster was not started here.
    pub fn requests_since(&self, mark: Mark) -> Vec<Request> {
        let log = self.audit_log(mark.0);
        let requests = requests(&String::from_utf8_lossy(&log));
        requests.into_iter().filter(|request| !request.uri.starts_with(OURS)).collect()
    }

    /// The log from this byte on with all in it that was answered by now: the server writes a request down a moment after its
    /// answer, and so we wait for a later one of ours.
    fn audit_log(&self, from: u64) -> Vec<u8> {
        self.must_be_here();
        let ours = format!("{OURS}{}", self.next());
        self.kubectl(&["get", "--raw", &ours]);
        let quoted = format!("\"{ours}\"").into_bytes();
        eventually("what was asked is written down", || {
            let log = read_from(&self.audit_file(), from).unwrap_or_default();
            if log.ends_with(b"\n") && log.windows(quoted.len()).any(|window| window == quoted) {
                Ok(log)
            } else {
                Err(format!("the API server's audit log lacks {ours}"))
            }
        })
    }

    fn audit_file(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Something that no other process that uses the cluster gets.
    fn next(&self) -> String {
        format!("{}-{}", std::process::id(), self.counter.fetch_add(1, Ordering::Relaxed))
    }

    fn must_be_here(&self) {
        assert!(matches!(self.place, Place::Here { .. }), "this needs a cluster on this machine");
    }

    fn keeper(&self) -> &Keeper {
        match &self.place {
            Place::Here { keeper: Some(keeper), .. } => keeper,
            _ => panic!("this needs a cluster of its own: Cluster::start"),
        }
    }
}

/// The beginning of the requests by which [`Cluster::audit_log`] knows how far the log is.
const OURS: &str = "/version?mark=";

fn read_from(file: &Path, from: u64) -> std::io::Result<Vec<u8>> {
    let (mut file, mut out) = (std::fs::File::open(file)?, Vec::new());
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut out)?;
    Ok(out)
}

/// What a program prints that must succeed, without the last line end.
pub(crate) fn succeeded(what: &str, output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// All parts of Kubernetes and kubectl in one program, which is built once on a machine.
fn program() -> PathBuf {
    let mut command = Command::new("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes/build.sh")).stdin(Stdio::null());
    PathBuf::from(succeeded("Kubernetes cannot be built of its Go modules (Go 1.24 or later is needed)", command.output()))
}
