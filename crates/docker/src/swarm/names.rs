//! Live names: of services, configs, secrets and the environment's network.

use sha2::{Digest, Sha256};
use stratos_engine::desired::name::{Name, live_name};
use stratos_engine::manifest::schema::VolumeAccess;

/// A service's name is a host name.
const NAME_LIMIT: usize = 63;
/// A secret's name carries its generation.
const SECRET_LIMIT: usize = 54;

/// The service of an app.
pub(crate) fn service(prefix: &Name, app: &Name) -> String {
    live_name(prefix, app, None, NAME_LIMIT)
}

/// The config of a file: its name holds a hash of the content, since the content of a config cannot change.
pub(crate) fn config(prefix: &Name, app: &Name, path: &str, content: &str) -> String {
    let part = format!("{}-{}", stem(path), hash(content));
    live_name(prefix, app, Some(&part), NAME_LIMIT)
}

/// The secret of a file, without its generation. Nothing of its content is in it.
pub(crate) fn secret(prefix: &Name, app: &Name, path: &str) -> String {
    let part = format!("{}-{}", stem(path), &hash(path)[..8]);
    live_name(prefix, app, Some(&part), SECRET_LIMIT)
}

/// One generation of a secret, as the swarm knows it.
pub(crate) fn generation(secret: &str, number: u64) -> String {
    format!("{secret}.{number}")
}

/// The secret and the generation of a live name; a name without one is generation 0 of itself.
pub(crate) fn split_generation(live: &str) -> (&str, u64) {
    live.rsplit_once('.').and_then(|(secret, number)| Some((secret, number.parse().ok()?))).unwrap_or((live, 0))
}

/// The volume of an app: one for each instance, or one for all instances on a node.
pub(crate) fn volume(prefix: &Name, app: &Name, volume: &Name, access: VolumeAccess) -> String {
    let name = live_name(prefix, app, Some(volume), NAME_LIMIT);
    match access {
        // The swarm fills in an instance's number, which the instance that takes its place gets again.
        VolumeAccess::Replica => format!("{name}-{{{{.Task.Slot}}}}"),
        VolumeAccess::Shared => name,
    }
}

/// The environment's network.
pub(crate) fn network(prefix: &Name, environment: &Name) -> String {
    live_name(prefix, environment, None, NAME_LIMIT)
}

/// The first 12 digits of SHA-256.
pub(crate) fn hash(content: &str) -> String {
    Sha256::digest(content.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// What a file is called, as a part of a name.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(20).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Live objects are found by these names: a change here orphans them all.
    #[test]
    fn live_names_are_frozen() {
        let (prefix, app) = (name("shop"), name("web"));
        assert_eq!(service(&prefix, &app), "shop-web");
        assert_eq!(config(&prefix, &app, "/etc/web/App.conf", "one"), "shop-web-app-conf-7692c3ad3540");
        assert_eq!(secret(&prefix, &app, "/etc/web/password"), "shop-web-password-af5b55cb");
        assert_eq!(volume(&prefix, &app, &name("data"), VolumeAccess::Shared), "shop-web-data");
        assert_eq!(volume(&prefix, &app, &name("data"), VolumeAccess::Replica), "shop-web-data-{{.Task.Slot}}");
        assert_eq!(network(&prefix, &name("dev")), "shop-dev");
        assert_eq!(generation("shop-web-password-af5b55cb", 3), "shop-web-password-af5b55cb.3");
    }

    #[test]
    fn a_generation_is_told_from_a_name_with_a_dot() {
        assert_eq!(split_generation("a-b.12"), ("a-b", 12));
        assert_eq!(split_generation("a.b"), ("a.b", 0));
        assert_eq!(split_generation("a"), ("a", 0));
    }

    #[test]
    fn names_are_never_too_long_for_a_swarm() {
        let long = name(&"a".repeat(40));
        let path = format!("/{}", "é".repeat(300));
        assert!(config(&long, &long, &path, "x").len() <= 63);
        assert!(generation(&secret(&long, &long, &path), 99_999_999).len() <= 63);
    }
}
