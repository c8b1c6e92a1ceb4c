//! A token server as registries send to: it checks a password or an identity token, and signs what `docker-registry`
//! believes.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::stub::answer;
use super::{PASSWORD, USER};

/// What an identity token is taken for.
pub const IDENTITY: &str = "an-identity-token";

/// The server. It ends with this value.
pub struct TokenServer {
    realm: String,
    certificate: String,
    signer: Signer,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Signer {
    key: std::sync::Arc<EcdsaKeyPair>,
    certificate: String,
}

impl TokenServer {
    /// Listens on a port of its own.
    pub async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["test".to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        let signing = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der()).unwrap();
        let signer = Signer { key: signing.into(), certificate: STANDARD.encode(certificate.der()) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let realm = format!("http://{}/token", listener.local_addr().unwrap());
        let signs = signer.clone();
        let router = Router::new().fallback(async move |request: Request| respond(&signs, request).await);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { realm, certificate: certificate.pem(), signer, serving }
    }

    /// Its address.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// What its tokens are checked with.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A token for everything in a repository.
    pub fn token(&self, repository: &str) -> String {
        self.signer.token(repository, &["pull", "push"])
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Everybody may read `public/…`; the user may read the rest, too.
async fn respond(signer: &Signer, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let is_form = parts.method == "POST";
    let fields = if is_form { body } else { parts.uri.query().unwrap_or_default().to_owned() };
    let fields = Url::parse(&format!("http://x/?{fields}")).unwrap();
    let field = |name: &str| fields.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let shown = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let known = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let is_user = match (is_form, shown) {
        (true, _) => {
            if field("grant_type").as_deref() != Some("refresh_token") || field("refresh_token").as_deref() != Some(IDENTITY) {
                return answer(401, &[], "");
            }
            true
        }
        (false, None) => false,
        (false, Some(shown)) if shown == known => true,
        (false, Some(_)) => return answer(401, &[], ""),
    };
    assert_eq!(field("service").as_deref(), Some("test"));
    let scope = field("scope").unwrap();
    let repository = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull")).unwrap();
    let may = is_user || repository.starts_with("public/");
    let token = signer.token(repository, if may { &["pull"] } else { &[] });
    let name = if is_form { "access_token" } else { "token" };
    answer(200, &[("content-type", "application/json")], &serde_json::json!({ name: token }).to_string())
}

impl Signer {
    fn token(&self, repository: &str, actions: &[&str]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = serde_json::json!({ "typ": "JWT", "alg": "ES256", "x5c": [self.certificate] });
        let access = serde_json::json!([{ "type": "repository", "name": repository, "actions": actions }]);
        let claims = serde_json::json!({
            "iss": "test", "sub": "ada", "aud": "test", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1", "access": access
        });
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
