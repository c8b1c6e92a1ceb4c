//! The names of an app's live objects: `shop-web-1`, `shop-web-2`, …, and `shop-web.proxy`.
//!
//! A dot is in no live name of a resource, so that what stands behind one clashes with no other app.

/// What follows the name of a container that was forgotten. Its labels cannot be taken off, so its name says it.
const FORGOTTEN: &str = ".forgotten";

/// An instance's container, once it is alone in its place.
pub(crate) fn instance(live: &str, number: u32) -> String {
    format!("{live}-{number}")
}

/// The same while it takes the place of another one.
pub(crate) fn successor(live: &str, number: u32) -> String {
    format!("{}.{:04x}", instance(live, number), rand::random::<u16>())
}

/// What a container is called after it was forgotten.
pub(crate) fn forgotten(name: &str) -> String {
    format!("{}{FORGOTTEN}", name.split('.').next().unwrap_or(name))
}

/// What it was called before.
pub(crate) fn remembered(name: &str) -> &str {
    name.strip_suffix(FORGOTTEN).unwrap_or(name)
}

/// Whether a container was forgotten: it is nobody's, whatever its labels say.
pub(crate) fn is_forgotten(name: &str) -> bool {
    name.ends_with(FORGOTTEN)
}

/// The container that published ports lead to.
pub(crate) fn proxy(live: &str) -> String {
    format!("{live}.proxy")
}

/// The proxy's container before it takes the place of another one.
pub(crate) fn next_proxy(live: &str) -> String {
    format!("{live}.proxy.{:04x}", rand::random::<u16>())
}

/// Whether a container that is not ours has a name that an instance needs, or once had.
pub(crate) fn is_in_the_way(live: &str, name: &str) -> bool {
    let rest = name.strip_suffix(FORGOTTEN).unwrap_or(name).strip_prefix(live).and_then(|rest| rest.strip_prefix('-'));
    let number = |number: &str| !number.is_empty() && !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    rest.is_some_and(number) || name.strip_suffix(FORGOTTEN) == Some(live)
}

/// A name for messages and for the engine, which puts a slash before it.
pub(crate) fn plain(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// The volume of one instance, or the one that all share.
pub(crate) fn volume(live: &str, number: u32) -> String {
    format!("{live}-{number}")
}

/// Whether this is what the engine calls a container by itself, as its host and on its networks: the first twelve digits of its
/// id. Names like `db` are the beginning of some ids, too.
pub(crate) fn is_short_id(id: &str, name: &str) -> bool {
    name.len() == 12 && id.starts_with(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_numbered_names_of_an_app_are_in_its_way() {
        for name in ["shop-web-1", "shop-web-12", "shop-web-1.forgotten"] {
            assert!(is_in_the_way("shop-web", name), "{name}");
        }
        for name in
            ["shop-web", "shop-web-", "shop-web-01", "shop-web-one", "shop-web-1-2", "shop-web-1.77aa", "shop-web.proxy", "shop-we-1"]
        {
            assert!(!is_in_the_way("shop-web", name), "{name}");
        }
    }

    #[test]
    fn a_name_that_an_id_begins_with_is_no_short_id() {
        let id = "dbcafe0123456789".repeat(4);
        assert!(is_short_id(&id, "dbcafe012345"));
        for name in ["db", "dbcafe", "dbcafe0123456", "123456789012", ""] {
            assert!(!is_short_id(&id, name), "{name}");
        }
    }

    #[test]
    fn a_forgotten_container_keeps_the_place_that_it_had() {
        let name = forgotten(&successor("shop-web", 3));
        assert_eq!(name, "shop-web-3.forgotten");
        assert!(is_forgotten(&name) && is_in_the_way("shop-web", &name));
        assert!(!is_forgotten(&instance("shop-web", 3)));
    }
}
