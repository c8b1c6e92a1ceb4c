//! Which certificates prove who is who: those that are named, or those that lie where Docker looks for them.

use std::path::{Path, PathBuf};

use super::{Certificates, ClientCertificate, Options, Surroundings};

/// Why there are none: a sentence, and what to do.
pub(super) type Missing = (String, Option<String>);

/// Those that `ca`, `cert` and `key` name, relative to the manifest's folder.
pub(super) fn named(options: &Options, folder: &Path) -> Result<Certificates, Missing> {
    let file = |key: &str, path: &Option<String>| match path.as_ref().map(|path| folder.join(path)) {
        Some(path) if !path.is_file() => Err((
            format!("the option `{key}` names {}, which is no file", path.display()),
            Some("paths are relative to stratos.toml".into()),
        )),
        other => Ok(other),
    };
    let (ca, certificate, key) = (file("ca", &options.ca)?, file("cert", &options.cert)?, file("key", &options.key)?);
    together(ca, certificate, key, "the options")
}

/// Those of the folder that `DOCKER_CERT_PATH` names, else of the Docker configuration's folder.
pub(super) fn usual(surroundings: &Surroundings) -> Result<Certificates, Missing> {
    if let Some(folder) = &surroundings.certificates {
        let found = of_folder(folder)?;
        let hint = "it should hold ca.pem, cert.pem and key.pem; or name them with the options `ca`, `cert` and `key`";
        return match found == Certificates::default() {
            true => Err((format!("DOCKER_CERT_PATH names {}, which holds no certificates", folder.display()), Some(hint.into()))),
            false => Ok(found),
        };
    }
    surroundings.configuration.as_deref().map_or(Ok(Certificates::default()), of_folder)
}

/// The `ca.pem`, `cert.pem` and `key.pem` of a folder: as many of them as are there.
pub(super) fn of_folder(folder: &Path) -> Result<Certificates, Missing> {
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    together(file("ca.pem"), file("cert.pem"), file("key.pem"), &folder.display().to_string())
}

/// A certificate is of no use without its key, nor a key without its certificate.
fn together(ca: Option<PathBuf>, certificate: Option<PathBuf>, key: Option<PathBuf>, of: &str) -> Result<Certificates, Missing> {
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            return Err((format!("{of}: there is a certificate, and no key to it"), Some("add the key, or leave both away".into())));
        }
        (None, Some(_)) => {
            return Err((
                format!("{of}: there is a key, and no certificate to it"),
                Some("add the certificate, or leave both away".into()),
            ));
        }
    };
    Ok(Certificates { ca, client })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|file| std::fs::write(folder.path().join(file), "x").unwrap());
        folder
    }

    #[test]
    fn a_folder_holds_all_of_them_or_the_authority_alone() {
        let all = folder(&["ca.pem", "cert.pem", "key.pem"]);
        let found = of_folder(all.path()).unwrap();
        assert_eq!(found.ca, Some(all.path().join("ca.pem")));
        assert_eq!(found.client.unwrap().key, all.path().join("key.pem"));
        let authority = of_folder(folder(&["ca.pem"]).path()).unwrap();
        assert!(authority.ca.is_some() && authority.client.is_none());
        assert_eq!(of_folder(Path::new("/nowhere")), Ok(Certificates::default()));
    }

    #[test]
    fn half_a_pair_is_an_error() {
        assert!(of_folder(folder(&["ca.pem", "cert.pem"]).path()).unwrap_err().0.contains("no key to it"));
        assert!(of_folder(folder(&["key.pem"]).path()).unwrap_err().0.contains("no certificate to it"));
    }

    #[test]
    fn a_named_file_that_is_not_there_is_an_error() {
        let there = folder(&["ca.pem"]);
        let options = |ca: &str| Options { ca: Some(ca.to_owned()), ..Options::default() };
        assert_eq!(named(&options("ca.pem"), there.path()).unwrap().ca, Some(there.path().join("ca.pem")));
        assert!(named(&options("cb.pem"), there.path()).unwrap_err().0.contains("cb.pem, which is no file"));
    }

    #[test]
    fn a_folder_that_the_environment_names_must_hold_some() {
        let empty = folder(&[]);
        let surroundings = Surroundings { certificates: Some(empty.path().to_owned()), ..Surroundings::default() };
        assert!(usual(&surroundings).unwrap_err().0.starts_with("DOCKER_CERT_PATH"));
        assert_eq!(usual(&Surroundings::default()), Ok(Certificates::default()));
    }
}
