//! One question to a registry: `HEAD` of a manifest, with a login where the registry wants one.
//!
//! `HEAD` is no pull for the limits of Docker Hub. The protocol is that of the OCI distribution specification, and for
//! tokens that of <https://distribution.github.io/distribution/spec/auth/>.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::challenge::Challenge;
use crate::credentials::{Credential, CredentialError, Login};
use crate::http::{Http, cause, speaks_no_tls};
use crate::reference::{Reference, is_digest};

/// How long a registry and its token server may take together. A plan can do without a digest.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest manifest, as the specification has it.
const MANIFEST: usize = 4 << 20;
/// Tokens are a few thousand characters.
const TOKEN: usize = 1 << 20;
/// Indexes and lists are wanted as much as manifests: their digest is right on every architecture.
const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Why there is no digest. Neither names the image.
#[derive(Debug)]
pub enum Failure {
    /// Another image of the registry may do better.
    Image(String),
    /// None will.
    Registry(String),
}

/// One question.
pub struct Exchange<'a> {
    http: &'a Http,
    reference: &'a Reference,
    scheme: &'a str,
    /// What is left of the patience.
    left: Duration,
}

/// What a request shows.
enum Shown {
    Nothing,
    Password { username: String, password: Zeroizing<String> },
    Token(Zeroizing<String>),
}

/// Whose credentials are shown.
enum User {
    Nobody,
    Known,
    /// They are there, and could not be read.
    Unread(CredentialError),
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Zeroizing<String>>,
    access_token: Option<Zeroizing<String>>,
}

impl<'a> Exchange<'a> {
    /// A question about a tag, in `http` or `https`.
    pub fn new(http: &'a Http, reference: &'a Reference, scheme: &'a str) -> Self {
        Self { http, reference, scheme, left: PATIENCE }
    }

    /// The digest that the tag stands for. Credentials are looked for only where the registry wants to see some.
    pub async fn digest(
        mut self,
        credential: impl AsyncFnOnce() -> Result<Option<Credential>, CredentialError>,
    ) -> Result<String, Failure> {
        let (mut shown, mut user) = (Shown::Nothing, User::Nobody);
        let mut answer = self.manifest(Method::HEAD, &shown).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let login = match credential().await {
                Ok(found) => found.map(|credential| credential.login),
                Err(error) => {
                    user = User::Unread(error);
                    None
                }
            };
            if login.is_some() {
                user = User::Known;
            }
            shown = self.log_in(answer.headers(), login, &user).await?;
            answer = self.manifest(Method::HEAD, &shown).await?;
        }
        self.check(&answer, &shown, &user)?;
        if let Some(digest) = self.told(answer.headers())? {
            return Ok(digest);
        }
        let answer = self.manifest(Method::GET, &shown).await?;
        self.check(&answer, &shown, &user)?;
        self.computed(answer).await
    }

    async fn manifest(&mut self, method: Method, shown: &Shown) -> Result<Response, Failure> {
        let (scheme, api) = (self.scheme, self.reference.api());
        let url = format!("{scheme}://{api}/v2/{}/manifests/{}", self.reference.repository(), self.reference.tag());
        let request = self.client(scheme)?.request(method, url).header(ACCEPT, MANIFEST_TYPES.join(", "));
        let request = match shown {
            Shown::Nothing => request,
            Shown::Password { username, password } => request.basic_auth(username, Some(password.as_str())),
            Shown::Token(token) => request.bearer_auth(token.as_str()),
        };
        let registry = self.registry().to_owned();
        self.send(request, &registry).await
    }

    /// What to show after this challenge.
    async fn log_in(&mut self, headers: &HeaderMap, login: Option<Login>, user: &User) -> Result<Shown, Failure> {
        match (Challenge::of(headers), login) {
            (Some(Challenge::Bearer { realm, service }), login) => {
                self.token(&realm, service.as_deref(), login, user).await.map(Shown::Token)
            }
            (Some(Challenge::Basic), Some(Login::Password { username, password })) => Ok(Shown::Password { username, password }),
            (Some(Challenge::Basic), Some(Login::IdentityToken(_))) => {
                Err(self.refused("wants a name and a password, and the Docker configuration has an identity token"))
            }
            (Some(Challenge::Basic), None) => Err(self.not_shown(user)),
            (None, _) => Err(self.refused("wants a login of a kind that is not known here")),
        }
    }

    /// A token to read this repository. Nothing more is asked for, whatever the challenge says.
    async fn token(&mut self, realm: &str, service: Option<&str>, login: Option<Login>, user: &User) -> Result<Zeroizing<String>, Failure> {
        let mut url = Url::parse(realm).map_err(|_| self.refused("sends to a token server whose address is none"))?;
        if !matches!((url.scheme(), self.scheme), ("https", _) | ("http", "http")) {
            return Err(self.refused("sends to a token server without TLS, which gets no credentials"));
        }
        let server = format!("the token server of {}", self.registry());
        let client = self.client(url.scheme())?;
        let scope = format!("repository:{}:pull", self.reference.repository());
        let mut fields = vec![("scope", scope.as_str())];
        fields.extend(service.map(|service| ("service", service)));
        let request = match &login {
            Some(Login::IdentityToken(token)) => {
                fields.extend([("grant_type", "refresh_token"), ("client_id", "stratos"), ("refresh_token", token.as_str())]);
                client.post(url).form(&fields)
            }
            Some(Login::Password { username, password }) => {
                url.query_pairs_mut().extend_pairs(&fields);
                client.get(url).basic_auth(username, Some(password.as_str()))
            }
            None => {
                url.query_pairs_mut().extend_pairs(&fields);
                client.get(url)
            }
        };
        let answer = self.send(request, &server).await?;
        match answer.status() {
            StatusCode::OK => {}
            // Asking again with the same password may lock the account.
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if login.is_some() => {
                return Err(self.wrong_credentials());
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.not_shown(user)),
            status => return Err(Failure::Registry(format!("{server} answered {status}"))),
        }
        let body = self.body(answer, TOKEN, &server).await?.map(Zeroizing::new);
        let told = body.and_then(|body| serde_json::from_slice::<TokenAnswer>(&body).ok());
        let token = told.and_then(|told| told.token.or(told.access_token)).filter(|token| token.bytes().all(|c| c.is_ascii_graphic()));
        token.ok_or_else(|| Failure::Registry(format!("{server} sent no token")))
    }

    /// Whether this is the answer to the question.
    fn check(&self, answer: &Response, shown: &Shown, user: &User) -> Result<(), Failure> {
        let registry = self.registry();
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(Failure::Image(format!("{registry} has no such image or tag"))),
            StatusCode::UNAUTHORIZED if matches!(shown, Shown::Password { .. }) => Err(self.wrong_credentials()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.not_shown(user)),
            status => Err(Failure::Image(format!("{registry} answered {status}"))),
        }
    }

    /// The digest that a header tells.
    fn told(&self, headers: &HeaderMap) -> Result<Option<String>, Failure> {
        let Some(digest) = headers.get("docker-content-digest") else { return Ok(None) };
        if headers.contains_key(CONTENT_TYPE) && !is_manifest(headers) {
            return Err(self.no_manifest());
        }
        match digest.to_str() {
            Ok(digest) if is_digest(digest) => Ok(Some(digest.to_owned())),
            _ => Err(Failure::Image(format!("{} sent a digest that is none", self.registry()))),
        }
    }

    /// The digest of the manifest, from a registry that tells none.
    async fn computed(&mut self, answer: Response) -> Result<String, Failure> {
        if !is_manifest(answer.headers()) {
            return Err(self.no_manifest());
        }
        let registry = self.registry().to_owned();
        let body = self.body(answer, MANIFEST, &registry).await?;
        let body = body.ok_or_else(|| Failure::Image(format!("{registry} sent a manifest of more than {MANIFEST} bytes")))?;
        let hexadecimal: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("sha256:{hexadecimal}"))
    }

    fn registry(&self) -> &str {
        self.reference.registry()
    }

    fn client(&self, scheme: &str) -> Result<&'a reqwest::Client, Failure> {
        let why = |error| {
            format!("{} was not asked, since no HTTP client could be made: {error}; are CA certificates installed?", self.registry())
        };
        self.http.client(scheme).map_err(|error| Failure::Registry(why(error)))
    }

    /// Sends, and refuses what says nothing about the image.
    async fn send(&mut self, request: RequestBuilder, who: &str) -> Result<Response, Failure> {
        let answer = self.within(request.send(), who).await?;
        let status = answer.status();
        tracing::debug!(who, %status, "answered");
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure::Registry(format!("{who} takes no more questions for now ({status}){}", pause(answer.headers()))));
        }
        if status.is_server_error() {
            return Err(Failure::Registry(format!("{who} answered {status}")));
        }
        Ok(answer)
    }

    /// The body; None where it is longer than this.
    async fn body(&mut self, mut answer: Response, limit: usize, who: &str) -> Result<Option<Vec<u8>>, Failure> {
        let read = async {
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > limit {
                    return Ok(None);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Some(body))
        };
        self.within(read, who).await
    }

    async fn within<T>(&mut self, work: impl Future<Output = reqwest::Result<T>>, who: &str) -> Result<T, Failure> {
        let begun = Instant::now();
        let done = timeout(self.left, work).await;
        self.left = self.left.saturating_sub(begun.elapsed());
        let why = match done {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) if speaks_no_tls(&error) => {
                format!("{who} speaks no TLS; where that is right, name it in STRATOS_INSECURE_REGISTRIES")
            }
            Ok(Err(error)) if error.is_connect() => format!("{who} cannot be reached: {}", cause(&error)),
            Ok(Err(error)) => format!("asking {who} failed: {}", cause(&error.without_url())),
            Err(_) => format!("{who} did not answer within {} s", PATIENCE.as_secs()),
        };
        Err(Failure::Registry(why))
    }

    fn refused(&self, what: &str) -> Failure {
        Failure::Registry(format!("{} {what}", self.registry()))
    }

    fn wrong_credentials(&self) -> Failure {
        let registry = self.registry();
        self.refused(&format!("does not take the credentials of the Docker configuration: `docker login {registry}`"))
    }

    fn no_manifest(&self) -> Failure {
        Failure::Image(format!("{} sent something that is no manifest of an image", self.registry()))
    }

    /// It is not there, or not for this user: registries do not tell these apart.
    fn not_shown(&self, user: &User) -> Failure {
        let registry = self.registry();
        Failure::Image(match user {
            User::Nobody => format!("{registry} has no such image, or shows it only after `docker login {registry}`"),
            User::Known => format!("{registry} has no such image, or does not show it to the user of the Docker configuration"),
            User::Unread(error) => format!("{registry} has no such image, or shows it only to known users, and {error}"),
        })
    }
}

fn is_manifest(headers: &HeaderMap) -> bool {
    let written = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = written.split(';').next().unwrap_or_default().trim();
    MANIFEST_TYPES.iter().any(|known| media_type.eq_ignore_ascii_case(known))
}

/// How long a server wants to be left alone, where it says so in seconds.
fn pause(headers: &HeaderMap) -> String {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    seconds.map_or_else(String::new, |seconds| format!("; ask again in {seconds} s"))
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Failure, Login, User};
    use crate::http::Http;
    use crate::reference::Reference;

    #[tokio::test]
    async fn a_registry_with_tls_cannot_send_to_a_token_server_without() {
        let (http, reference) = (Http::default(), Reference::parse("registry.example.com/web:1").unwrap());
        let login = Login::Password { username: "ada".into(), password: "hunter2".to_owned().into() };
        let mut exchange = Exchange::new(&http, &reference, "https");
        let refused = exchange.token("http://127.0.0.1:1/token", None, Some(login), &User::Known).await.unwrap_err();
        let Failure::Registry(why) = refused else { panic!("{refused:?}") };
        assert_eq!(why, "registry.example.com sends to a token server without TLS, which gets no credentials");
    }
}
