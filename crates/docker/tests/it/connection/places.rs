//! Two engines that listen on the network, one of them with TLS, and the certificates for that.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use indexmap::IndexMap;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use stratos_docker::connection::Connection;
use stratos_docker::endpoint::{self, Resolved, Settings, Surroundings};
use stratos_engine::manifest::schema::{PlatformKind, Scalar};
use stratos_engine::platform::PlatformError;
use stratos_test_platforms::Engines;

/// The engine that speaks plain HTTP on port 2375.
pub const PLAIN: usize = 0;
/// The engine that speaks TLS on port 2376, with those who have a certificate.
pub const TLS: usize = 1;

/// The engines, and the certificates of one of them.
pub struct Place {
    pub engines: Engines,
    pub certificates: Authority,
}

/// One for all tests of this process.
pub fn place() -> &'static Place {
    static SHARED: OnceLock<Place> = OnceLock::new();
    SHARED.get_or_init(|| {
        let certificates = Authority::new();
        let file = |name: &str| certificates.file(name).display().to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let plain = words(&["--host", "tcp://0.0.0.0:2375", "--tls=false"]);
        let mut tls = words(&["--host", "tcp://0.0.0.0:2376", "--tlsverify"]);
        for (option, name) in [("--tlscacert", "ca.pem"), ("--tlscert", "server.pem"), ("--tlskey", "server-key.pem")] {
            tls.extend([option.to_owned(), file(name)]);
        }
        Place { engines: Engines::start_with(&[plain, tls]), certificates }
    })
}

/// A certificate authority in a folder, as Docker's own guide lays it out: `ca.pem`, `cert.pem` and `key.pem` for a client,
/// `server.pem` and `server-key.pem` for engines of the tests, whichever address they get.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name.push(DnType::CommonName, folder.display().to_string());
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        std::fs::write(folder.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        let server = (0..=255).flat_map(|subnet| (10..=11).map(move |host| IpAddr::V4(Ipv4Addr::new(10, 213, subnet, host))));
        issue(
            &issuer,
            ExtendedKeyUsagePurpose::ServerAuth,
            server.map(SanType::IpAddress).collect(),
            &folder,
            ["server.pem", "server-key.pem"],
        );
        issue(&issuer, ExtendedKeyUsagePurpose::ClientAuth, Vec::new(), &folder, ["cert.pem", "key.pem"]);
        Self { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn issue(issuer: &Issuer<'_, KeyPair>, purpose: ExtendedKeyUsagePurpose, names: Vec<SanType>, folder: &Path, files: [&str; 2]) {
    let key = KeyPair::generate().unwrap();
    let mut wanted = CertificateParams::new(Vec::new()).unwrap();
    wanted.extended_key_usages = vec![purpose];
    wanted.subject_alt_names = names;
    std::fs::write(folder.join(files[0]), wanted.signed_by(&key, issuer).unwrap().pem()).unwrap();
    std::fs::write(folder.join(files[1]), key.serialize_pem()).unwrap();
}

/// Options as a manifest writes them.
pub fn options(written: &[(&str, &Path)]) -> IndexMap<String, Scalar> {
    written.iter().map(|(key, value)| ((*key).to_owned(), Scalar::String(value.display().to_string()))).collect()
}

/// Finds an engine.
pub fn resolve(url: Option<&str>, options: &IndexMap<String, Scalar>, surroundings: &Surroundings) -> Result<Resolved, PlatformError> {
    endpoint::resolve(&Settings { kind: PlatformKind::Docker, url, options }, surroundings)
}

/// Finds an engine and asks it for its name, which is `node<n>`.
pub async fn ask(url: Option<&str>, options: &IndexMap<String, Scalar>, surroundings: &Surroundings) -> Result<String, PlatformError> {
    let connection = Connection::new(resolve(url, options, surroundings)?.endpoint)?;
    Ok(connection.info().await?.name.unwrap_or_default())
}
