//! Debian's `docker-registry` on a port of its own, and images in it that are pushed by hand.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{RequestBuilder, StatusCode, Url};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{PASSWORD, USER};

/// bcrypt of [`PASSWORD`].
const HTPASSWD: &str = "ada:$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";
pub const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A running registry. It ends with this value.
pub struct DockerRegistry {
    process: Child,
    /// Its images; removed after it has ended.
    _folder: TempDir,
    address: String,
    token: Option<String>,
    is_private: bool,
}

impl DockerRegistry {
    /// For everybody.
    pub fn open() -> Self {
        Self::start("127.0.0.1:0", "", false)
    }

    /// For [`USER`] with [`PASSWORD`], by Basic authentication.
    pub fn with_password() -> Self {
        Self::start("127.0.0.1:0", "auth:\n  htpasswd:\n    realm: test\n    path: FOLDER/htpasswd\n", true)
    }

    /// For who has a token of this server.
    pub fn with_tokens(realm: &str, certificate: &str) -> Self {
        let certificate_path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(certificate_path.path(), certificate).unwrap();
        let settings = format!(
            "auth:\n  token:\n    realm: {realm}\n    service: test\n    issuer: test\n    rootcertbundle: {}\n",
            certificate_path.path().display()
        );
        Self::start("127.0.0.1:0", &settings, true)
    }

    /// For everybody, over TLS, on an address that is not taken for this machine's.
    pub fn over_tls(certificate: &Path, key: &Path) -> Self {
        let settings = format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
        Self::start("0.0.0.0:0", &settings, false)
    }

    fn start(address: &str, settings: &str, is_private: bool) -> Self {
        super::stub::provide_tls();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let configuration = format!(
            "version: 0.1\nlog:\n  formatter: text\nstorage:\n  filesystem:\n    rootdirectory: {path}/data\n\
             http:\n  addr: {address}\n  secret: test\n{}",
            settings.replace("FOLDER", &path)
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("these tests need the program docker-registry (Debian: apt-get install docker-registry): {error}")
        });
        let log = BufReader::new(process.stderr.take().unwrap());
        let (port, found) = mpsc::channel();
        // It reads to the end, so that the registry can always write.
        std::thread::spawn(move || {
            let mut said = String::new();
            for line in log.lines().map_while(Result::ok) {
                if let Some(listening) = line.split("listening on ").nth(1) {
                    let written = listening.split(['"', ',']).next().unwrap_or_default();
                    let number: u16 = written.rsplit(':').next().unwrap_or_default().parse().unwrap();
                    let _ = port.send(Ok(number));
                }
                said.push_str(&line);
            }
            let _ = port.send(Err(said));
        });
        let port = match found.recv_timeout(Duration::from_secs(30)) {
            Ok(Ok(port)) => port,
            Ok(Err(said)) => panic!("docker-registry ended: {said}"),
            Err(_) => panic!("docker-registry did not listen within 30 s"),
        };
        let address = format!("{}:{port}", address.split(':').next().unwrap());
        Self { process, _folder: folder, address, token: None, is_private }
    }

    /// `127.0.0.1:5000`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Pushes with this token.
    pub fn use_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// Pushes an image with this content under a tag; its digest.
    pub async fn push(&self, repository: &str, tag: &str, content: &str) -> String {
        let configuration = serde_json::json!({ "content": content }).to_string();
        let digest = self.blob(repository, &configuration).await;
        let config = serde_json::json!({
            "mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest, "size": configuration.len()
        });
        let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [] });
        self.manifest(repository, tag, MANIFEST, manifest.to_string()).await
    }

    /// Pushes an index of two architectures under a tag: its digest, and those of its manifests.
    pub async fn push_index(&self, repository: &str, tag: &str) -> (String, [String; 2]) {
        let digests = [self.push(repository, "of-amd64", "amd64").await, self.push(repository, "of-arm64", "arm64").await];
        let entries = digests.iter().zip(["amd64", "arm64"]).map(|(digest, architecture)| {
            let platform = serde_json::json!({ "architecture": architecture, "os": "linux" });
            serde_json::json!({ "mediaType": MANIFEST, "digest": digest, "size": 1, "platform": platform })
        });
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries.collect::<Vec<_>>() });
        (self.manifest(repository, tag, INDEX, index.to_string()).await, digests)
    }

    async fn blob(&self, repository: &str, content: &str) -> String {
        let begun = self.send(http().post(self.url(&format!("{repository}/blobs/uploads/"))), StatusCode::ACCEPTED).await;
        let mut place = Url::parse(begun.headers()[LOCATION].to_str().unwrap()).unwrap();
        place.query_pairs_mut().append_pair("digest", &digest(content));
        self.send(http().put(place).body(content.to_owned()), StatusCode::CREATED).await;
        digest(content)
    }

    async fn manifest(&self, repository: &str, tag: &str, media_type: &str, manifest: String) -> String {
        let digest = digest(&manifest);
        let request = http().put(self.url(&format!("{repository}/manifests/{tag}"))).header(CONTENT_TYPE, media_type).body(manifest);
        self.send(request, StatusCode::CREATED).await;
        digest
    }

    async fn send(&self, request: RequestBuilder, expected: StatusCode) -> reqwest::Response {
        let request = match (&self.token, self.is_private) {
            (Some(token), _) => request.bearer_auth(token),
            (None, true) => request.basic_auth(USER, Some(PASSWORD)),
            (None, false) => request,
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{:?}", answer.text().await);
        answer
    }

    /// The address of something of its API.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.address.starts_with("0.0.0.0") { "https" } else { "http" };
        format!("{scheme}://{}/v2/{path}", self.address)
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap()
}

fn digest(content: &str) -> String {
    let hexadecimal: String = Sha256::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hexadecimal}")
}
