//! What a registry wants to see: the `WWW-Authenticate` of its answer.

use http_auth::parse_challenges;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token from this address.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// For which service.
        service: Option<String>,
    },
    /// A name and a password.
    Basic,
}

impl Challenge {
    /// Takes a token where that is offered, else a password.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let Some(challenges) = value.to_str().ok().and_then(|value| parse_challenges(value).ok()) else { continue };
            for challenge in challenges {
                let parameter = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = parameter("realm")
                {
                    return Some(Self::Bearer { realm, service: parameter("service") });
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

    use super::Challenge;

    fn of(values: &[&'static str]) -> Option<Challenge> {
        let pairs = values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        Challenge::of(&headers)
    }

    #[test]
    fn a_token_is_taken_before_a_password() {
        let bearer = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull,push""#;
        let wanted = Challenge::Bearer { realm: "https://auth.docker.io/token".into(), service: Some("registry.docker.io".into()) };
        assert_eq!(of(&[bearer]), Some(wanted.clone()));
        assert_eq!(of(&[r#"Basic realm="x""#, bearer]), Some(wanted));
        assert_eq!(of(&[r#"basic realm="x""#]), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["Bearer", "Negotiate", "\"", "Bearer realm"]), None);
        assert_eq!(of(&[",,=", r#"Basic realm="x""#]), Some(Challenge::Basic));
    }
}
