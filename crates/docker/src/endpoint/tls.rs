//! TLS with certificates from files.

use std::path::Path;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::transport::CONNECT;
use super::{Certificates, ClientCertificate};

/// A connector that checks the engine's certificate, and shows ours.
pub(super) fn connector(certificates: &Certificates) -> Result<HttpsConnector<HttpConnector>, PlatformError> {
    let Certificates { ca, client } = certificates;
    let roots = match ca {
        Some(ca) => authority(ca)?,
        None => of_the_system()?,
    };
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(ClientCertificate { certificate, key }) => {
            let chain = chain(certificate)?;
            let read = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error.to_string()))?;
            let paired = config.with_client_auth_cert(chain, read);
            paired.map_err(|error| failed(key, &format!("it does not go with {}: {error}", certificate.display())))?
        }
    };
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.enforce_http(false);
    Ok(HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(tcp))
}

fn authority(ca: &Path) -> Result<RootCertStore, PlatformError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(ca)? {
        roots.add(certificate).map_err(|error| failed(ca, &error.to_string()))?;
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, PlatformError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map_or_else(|| "it has none".to_owned(), ToString::to_string);
    let error = PlatformError::new(PlatformErrorKind::Rejected, "reading the certificate authorities of this system", why);
    Err(error.with_hint("name the engine's own with the option `ca`, or install the package `ca-certificates`"))
}

/// The certificates in a file: at least one.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PlatformError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(failed(path, "there is no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(failed(path, &error.to_string())),
    }
}

fn failed(path: &Path, why: &str) -> PlatformError {
    let error = PlatformError::new(PlatformErrorKind::Rejected, format!("reading {}", path.display()), why);
    error.with_hint("certificates and keys are files in PEM form: `-----BEGIN CERTIFICATE-----`, `-----BEGIN PRIVATE KEY-----`")
}
