//! Live names. The namespace tells environments apart, so that an app's objects are called like the app.

use sha2::{Digest as _, Sha256};
use stratos_engine::desired::name::Name;

/// What the name of a resource ends with that has one live object for each of its contents: `web-*` is `web-1`, then `web-2`.
pub(crate) const GENERATIONS: &str = "-*";

/// What the name of the Service ends with that leads in from outside.
pub(crate) const PUBLISHED: &str = "-published";

/// The ConfigMap of an app's files. Its name holds a hash of what is in it: other content is another object.
pub(crate) fn config_map(app: &Name, content: &str) -> String {
    format!("{app}-{}", hash(content))
}

/// The Secret of an app.
pub(crate) fn secret(app: &Name) -> String {
    format!("{app}{GENERATIONS}")
}

/// A volume that all instances share.
pub(crate) fn shared_volume(app: &Name, volume: &Name) -> String {
    format!("{app}-{volume}")
}

/// The volume of one instance, as a StatefulSet calls it.
pub(crate) fn replica_volume(app: &Name, volume: &Name, replica: u32) -> String {
    format!("{volume}-{app}-{replica}")
}

/// The Service that leads in from outside.
pub(crate) fn published(app: &Name) -> String {
    format!("{app}{PUBLISHED}")
}

/// The key of a file in a ConfigMap or a Secret: readable, and another one for each path.
pub(crate) fn file_key(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).take(60).collect();
    format!("{}-{name}", &hash(path)[..8])
}

/// Ten hexadecimal digits of SHA-256.
pub(crate) fn hash(content: &str) -> String {
    Sha256::digest(content.as_bytes()).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Live objects are found again by these names: a change here makes them anew.
    #[test]
    fn names_are_frozen() {
        let (web, data) = (Name::new("web").unwrap(), Name::new("data").unwrap());
        assert_eq!(config_map(&web, "one"), "web-7692c3ad35");
        assert_eq!(secret(&web), "web-*");
        assert_eq!(shared_volume(&web, &data), "web-data");
        assert_eq!(replica_volume(&web, &data, 2), "data-web-2");
        assert_eq!(file_key("/etc/web/app.conf"), format!("{}-app.conf", &hash("/etc/web/app.conf")[..8]));
        assert_ne!(file_key("/a/x"), file_key("/b/x"));
    }
}
