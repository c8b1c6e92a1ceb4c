//! Whom we take a server's word from.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Cluster;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::address::Missing;
use super::{Options, Surroundings};

/// Who vouches for a server.
pub(super) struct Trust {
    /// The authorities, in DER form. None trusts those of the system.
    pub(super) roots: Option<Vec<Vec<u8>>>,
    /// The file that they are in, where it changes now and then.
    pub(super) file: Option<PathBuf>,
    /// Nobody needs to.
    pub(super) insecure: bool,
    /// The name in the certificate, where it is not the host.
    pub(super) name: Option<String>,
    /// A sentence.
    pub(super) how: String,
}

impl Trust {
    /// There is no certificate: nothing is encrypted. The client would read the system's authorities, which may have none.
    pub(super) fn plain() -> Self {
        let how = "Nothing is encrypted: whoever is in between can read and change everything.".to_owned();
        Self { roots: Some(Vec::new()), file: None, insecure: false, name: None, how }
    }

    /// As the options say.
    pub(super) fn of_options(options: &Options, surroundings: &Surroundings) -> Result<Self, Missing> {
        let name = options.tls_server_name.clone();
        if options.insecure_skip_tls_verify {
            return Ok(Self::nobody(name, "`insecure_skip_tls_verify`"));
        }
        let Some(written) = &options.ca else { return Ok(Self::system(name)) };
        let path = surroundings.file("ca", written)?;
        Ok(Self {
            roots: Some(of_file(&path)?),
            file: None,
            insecure: false,
            how: checked(&surroundings.show(&path), name.as_deref()),
            name,
        })
    }

    /// As a cluster of a kubeconfig says.
    pub(super) fn of_cluster(cluster: &Cluster, surroundings: &Surroundings) -> Result<Self, Missing> {
        let name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Ok(Self::nobody(name, "`insecure-skip-tls-verify` in the kubeconfig"));
        }
        let (roots, whose) = if let Some(data) = set(&cluster.certificate_authority_data) {
            let what = "`certificate-authority-data` in the kubeconfig";
            let pem = STANDARD.decode(data.trim()).map_err(|_| (format!("{what} is not in base64"), None))?;
            (certificates(&pem).map_err(|why| (format!("{what}: {why}"), None))?, "the authority in the kubeconfig".to_owned())
        } else if let Some(path) = set(&cluster.certificate_authority) {
            (of_file(Path::new(path))?, surroundings.show(Path::new(path)))
        } else {
            return Ok(Self::system(name));
        };
        Ok(Self { roots: Some(roots), file: None, insecure: false, how: checked(&whose, name.as_deref()), name })
    }

    /// As a pod's folder says.
    pub(super) fn of_pod(path: PathBuf) -> Result<Self, Missing> {
        let roots = Some(of_file(&path)?);
        let how = checked("the authority that the pod was given", None);
        Ok(Self { roots, file: Some(path), insecure: false, name: None, how })
    }

    fn system(name: Option<String>) -> Self {
        Self { roots: None, file: None, insecure: false, how: checked("the authorities of the system", name.as_deref()), name }
    }

    fn nobody(name: Option<String>, why: &str) -> Self {
        let how = format!("WARNING: its certificate is not checked ({why}): whoever is in between can read and change everything.");
        Self { roots: Some(Vec::new()), file: None, insecure: true, name, how }
    }
}

fn checked(whose: &str, name: Option<&str>) -> String {
    let name = name.map_or_else(String::new, |name| format!(", for the name {name}"));
    format!("Its certificate is checked against {whose}{name}.")
}

fn set(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn of_file(path: &Path) -> Result<Vec<Vec<u8>>, Missing> {
    let attempted = std::fs::read(path).map_err(|error| error.to_string()).and_then(|pem| certificates(&pem));
    attempted.map_err(|why| (format!("{}: {why}", path.display()), Some("it is a file in PEM form: `-----BEGIN CERTIFICATE-----`".into())))
}

/// The certificates in a text in PEM form: at least one.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect())
}
