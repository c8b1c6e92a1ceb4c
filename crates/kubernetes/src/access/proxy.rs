//! Which proxy leads to a server: as curl and kubectl understand `HTTPS_PROXY` and `NO_PROXY`.

use std::net::IpAddr;

use http::Uri;

use super::address::{self, Missing};

/// The proxy for a server: the one that its cluster has in the kubeconfig, else that of the surroundings.
pub(super) fn choose(server: &Uri, of_cluster: Option<&str>, general: Option<&str>, exempt: Option<&str>) -> Result<Option<Uri>, Missing> {
    if let Some(text) = of_cluster.filter(|text| !text.is_empty()) {
        return parse(text, "`proxy-url` in the kubeconfig").map(Some);
    }
    // A proxy of the surroundings is for what is far away, and only what is encrypted is tunnelled through it.
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let Some(text) = general.filter(|_| address::is_tls(server) && !is_here(host)) else { return Ok(None) };
    if is_exempt(host, address::port(server), exempt.unwrap_or_default()) {
        return Ok(None);
    }
    parse(text, "HTTPS_PROXY").map(Some)
}

fn parse(text: &str, what: &str) -> Result<Uri, Missing> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // What it holds before the `@` may be a password: the text is not repeated.
    let uri: Uri = full.parse().map_err(|error| (format!("{what} is no address of a proxy: {error}"), None))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        other => {
            let why = format!("{what} names a proxy of the kind `{}`, which is not supported", other.unwrap_or_default());
            Err((why, Some("proxies are reached over http:// or https://".to_owned())))
        }
    }
}

fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether `NO_PROXY` names a host: itself, a domain that it is in, a network that it is in, or everything.
fn is_exempt(host: &str, port: u16, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(address), Some((network, bits))) = (address, entry.split_once('/')) {
            return in_network(address, network, bits);
        }
        let (entry, only) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') => (name, digits.parse::<u16>().ok()),
            _ => (entry.as_str(), None),
        };
        if only.is_some_and(|only| only != port) {
            return false;
        }
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        let within = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        host == entry.trim_matches(['[', ']']) || (address.is_none() && !domain.is_empty() && (within || host == domain))
    })
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let same = |one: u128, other: u128, width: u32| bits <= width && (bits == 0 || (one ^ other) >> (width - bits) == 0);
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => same(u32::from(one).into(), u32::from(other).into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => same(one.into(), other.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(server: &str, exempt: &str) -> Option<String> {
        let uri = address::parse(server).unwrap();
        choose(&uri, None, Some("proxy:3128"), Some(exempt)).unwrap().map(|uri| uri.to_string())
    }

    #[test]
    fn a_proxy_is_for_what_is_far_away_and_not_exempt() {
        assert_eq!(proxy("https://master", "").as_deref(), Some("http://proxy:3128/"));
        for (server, exempt) in [
            ("https://localhost:6443", ""),
            ("https://127.0.0.1:6443", ""),
            ("http://master", ""),
            ("https://master", "*"),
            ("https://master", "other, MASTER"),
            ("https://a.corp.example", ".corp.example"),
            ("https://a.corp.example", "corp.example"),
            ("https://a.corp.example", "*.corp.example"),
            ("https://master:6443", "master:6443"),
            ("https://10.1.2.3", "10.0.0.0/8"),
            ("https://10.1.2.3", "10.1.2.3"),
            ("https://[fd00::1]", "fd00::/8"),
        ] {
            assert_eq!(proxy(server, exempt), None, "{server} {exempt}");
        }
        for (server, exempt) in [
            ("https://xcorp.example", "corp.example"),
            ("https://master:6443", "master:443"),
            ("https://11.1.2.3", "10.0.0.0/8"),
            ("https://10.1.2.3", "2.3"),
        ] {
            assert!(proxy(server, exempt).is_some(), "{server} {exempt}");
        }
    }

    #[test]
    fn the_proxy_of_a_cluster_counts_everywhere_and_a_password_is_not_repeated() {
        let server = address::parse("https://localhost").unwrap();
        let own = choose(&server, Some("http://own:1"), Some("http://x:2"), Some("*")).unwrap().unwrap();
        assert_eq!(own.to_string(), "http://own:1/");
        let (why, help) = choose(&server, Some("socks5://ada:hunter2@own:1"), None, None).unwrap_err();
        assert!(why.contains("socks5") && !why.contains("hunter2") && help.is_some(), "{why}");
    }
}
