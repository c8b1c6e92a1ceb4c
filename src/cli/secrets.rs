//! Reads the values of secrets from where the manifest says that they are.

use std::path::Path;

use indexmap::IndexMap;
use stratos_engine::render::secret::{SecretError, SecretSource, Secrets};
use zeroize::Zeroizing;

/// Reads every declared secret. One that is not available is remembered with the reason: a plan does without its value,
/// and an apply says why it cannot.
pub fn read(sources: &IndexMap<String, SecretSource>, folder: &Path) -> Secrets {
    Secrets::new(sources.iter().map(|(name, source)| {
        let value = value(source, folder).map_err(|why| SecretError { name: name.clone(), why });
        (name.clone(), value)
    }))
}

fn value(source: &SecretSource, folder: &Path) -> Result<Zeroizing<String>, String> {
    match source {
        SecretSource::Env(name) => match std::env::var(name) {
            Ok(value) => Ok(Zeroizing::new(value)),
            Err(std::env::VarError::NotPresent) => Err(format!("the environment variable {name} is not set")),
            Err(std::env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is not UTF-8 text")),
        },
        SecretSource::File(path) => {
            let path = folder.join(path);
            let bytes = std::fs::read(&path).map(Zeroizing::new).map_err(|error| format!("reading {}: {error}", path.display()))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
            let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
            Ok(Zeroizing::new(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratos_engine::desired::text::{Encoding, Segment, Text};
    use stratos_engine::render::secret::Attributes;

    fn resolve(secrets: &Secrets, name: &str) -> Result<String, String> {
        let text = Text::from_iter([Segment::Secret { name: name.into(), encoding: Encoding::Plain }]);
        secrets.resolve(&text, &Attributes::new()).map(|value| value.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_loses_its_last_line_end_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for (content, value) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a", " a"), ("", "")] {
            std::fs::write(folder.path().join("s"), content).unwrap();
            let secrets = read(&IndexMap::from([("db".to_owned(), SecretSource::File("s".into()))]), folder.path());
            assert_eq!(resolve(&secrets, "db").as_deref(), Ok(value));
        }
    }

    #[test]
    fn what_is_missing_is_said_when_it_is_asked_for() {
        let sources = [
            ("file".to_owned(), SecretSource::File("nowhere".into())),
            ("env".to_owned(), SecretSource::Env("STRATOS_TEST_THAT_IS_NOT_SET".into())),
        ];
        let secrets = read(&IndexMap::from(sources), Path::new("/nonexistent"));
        assert!(resolve(&secrets, "file").unwrap_err().contains("/nonexistent/nowhere"));
        assert!(resolve(&secrets, "env").unwrap_err().contains("STRATOS_TEST_THAT_IS_NOT_SET is not set"));
    }
}
