//! Answers as the engine wrote them, where the client's types lose a part.
//!
//! The client has no request of one's own choice. It has one whose answer it passes on unread (the export of a container),
//! and it lets requests be changed before they are sent: so that one is led to another path.

use bollard::BollardRequest;
use bollard::errors::Error;
use futures::TryStreamExt;
use serde::de::DeserializeOwned;

use crate::connection::Connection;

/// Begins the path of a request that is to be led elsewhere. No container has a slash in its name.
const DETOUR: &str = "/containers/stratos/raw/";
const EXPORT: &str = "/export";

impl Connection {
    /// Reads a path of the engine's API.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        let mut target = path.to_owned();
        for (index, (name, value)) in query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(&format!("{name}={}", percent_encoded(value)));
        }
        let name = format!("{}{}", DETOUR.trim_start_matches("/containers/"), hex(&target));
        let mut answer = std::pin::pin!(self.docker.export_container(&name));
        let mut body = Vec::new();
        while let Some(part) = answer.try_next().await? {
            body.extend_from_slice(&part);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Leads a request to where it was meant to go.
pub(crate) fn lead(mut request: BollardRequest) -> BollardRequest {
    let path = request.uri().path();
    let target = path.find(DETOUR).and_then(|at| unhex(path[at + DETOUR.len()..].strip_suffix(EXPORT)?));
    let mut parts = request.uri().clone().into_parts();
    if let Some(Ok(target)) = target.map(|target| target.parse()) {
        parts.path_and_query = Some(target);
        if let Ok(uri) = TryFrom::try_from(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<String> {
    let digits = text.as_bytes().chunks(2);
    let bytes = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

fn percent_encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(path: &str) -> String {
        let request = bollard::BollardRequest::new(bollard::body_full(bytes::Bytes::new()));
        let mut request = request;
        *request.uri_mut() = path.parse().unwrap();
        lead(request).uri().to_string()
    }

    #[test]
    fn a_detour_leads_to_its_target_and_everything_else_stays() {
        let detour = format!("http://engine{DETOUR}{}{EXPORT}", hex("/services/shop-web?insertDefaults=true"));
        assert_eq!(led(&detour), "http://engine/services/shop-web?insertDefaults=true");
        for other in ["http://engine/containers/web/export", "http://engine/services", "http://engine/containers/stratos/raw/xyz/export"] {
            assert_eq!(led(other), other);
        }
    }

    #[test]
    fn a_query_takes_any_text() {
        assert_eq!(percent_encoded("{\"a b\"}"), "%7B%22a%20b%22%7D");
    }
}
