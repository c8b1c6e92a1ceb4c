//! A server's address as text, and when two of them are the same.

use http::Uri;

/// Why something could not be found or used: a sentence, and what to do.
pub(super) type Missing = (String, Option<String>);

/// Reads an address.
pub(super) fn parse(text: &str) -> Result<Uri, Missing> {
    let wrong = |why: &str, help: Option<String>| Err((format!("{} is no address of a Kubernetes API: {why}", shown(text)), help));
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong("it has no scheme", Some(format!("did you mean `https://{text}`?")));
    };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return wrong(&format!("the scheme `{scheme}` is not known"), Some("write it as https://host:port/".to_owned()));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong(
            "a user or a password does not belong into an address",
            Some("see the options `token_file`, `token_env` and `cert`".into()),
        );
    }
    if rest.contains(['?', '#']) {
        return wrong("there is something behind the path", None);
    }
    match text.parse::<Uri>() {
        Ok(uri) => {
            let host = uri.host().unwrap_or_default();
            // What is behind the host is a port, and not left out by the parser because it is none.
            let port = authority.len() == host.len() || uri.port_u16().is_some_and(|port| port > 0);
            if host.is_empty() || !port { wrong("the host or the port is none", None) } else { Ok(uri) }
        }
        Err(error) => wrong(&error.to_string(), None),
    }
}

/// Whether TLS is spoken there.
pub(super) fn is_tls(uri: &Uri) -> bool {
    uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// The port, also where none is written.
pub(super) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if is_tls(uri) { 443 } else { 80 })
}

/// Whether two addresses lead to the same server: the case of the host, a port that goes without saying and a slash at the end
/// make no difference.
pub(super) fn same(one: &Uri, other: &Uri) -> bool {
    let parts = |uri: &Uri| {
        (is_tls(uri), uri.host().unwrap_or_default().to_ascii_lowercase(), port(uri), uri.path().trim_end_matches('/').to_owned())
    };
    parts(one) == parts(other)
}

/// The address for people, its port included.
pub(super) fn display(uri: &Uri) -> String {
    let scheme = if is_tls(uri) { "https" } else { "http" };
    format!("{scheme}://{}:{}{}", uri.host().unwrap_or_default(), port(uri), uri.path())
}

/// The text for a message, without what could be a password.
fn shown(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((before, place))) if before.len() > scheme.len() => format!("{:?}", format!("{scheme}://…@{place}")),
        _ => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_with_their_port() {
        for (text, shown) in [
            ("https://kubernetes-master/", "https://kubernetes-master:443/"),
            ("https://kubernetes-master", "https://kubernetes-master:443/"),
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001/"),
            ("https://[::1]:6443/", "https://[::1]:6443/"),
            ("https://rancher/k8s/clusters/c-1", "https://rancher:443/k8s/clusters/c-1"),
        ] {
            assert_eq!(display(&parse(text).unwrap()), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_sentence() {
        for text in ["", "host", "host:6443", "ftp://host", "https://", "https://:6443", "https://host:x", "https://h?x", "https://h/#x"] {
            let (why, _) = parse(text).expect_err(text);
            assert!(why.contains(": "), "{text}: {why}");
        }
        assert_eq!(parse("master:6443").unwrap_err().1.as_deref(), Some("did you mean `https://master:6443`?"));
        let (why, _) = parse("https://root:hunter2@host").unwrap_err();
        assert!(why.contains("does not belong into an address") && !why.contains("hunter2"), "{why}");
    }

    #[test]
    fn the_same_server_is_recognised() {
        let same = |one: &str, other: &str| same(&parse(one).unwrap(), &parse(other).unwrap());
        assert!(same("https://Kubernetes-Master/", "https://kubernetes-master:443"));
        assert!(same("http://h", "http://h:80/"));
        assert!(same("https://rancher/k8s/", "https://rancher/k8s"));
        for (one, other) in
            [("https://h", "http://h:443"), ("https://h", "https://h:6443"), ("https://h/a", "https://h/b"), ("https://h", "https://g")]
        {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
