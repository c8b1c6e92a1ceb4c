//! The two HTTP clients: one that insists on TLS, one for registries that are asked without. Each is made when it is
//! first needed, since reading the system's certificates takes time.

use std::error::Error;
use std::sync::{Once, OnceLock};

use reqwest::{Client, ClientBuilder};

/// Both clients.
#[derive(Debug, Default)]
pub struct Http {
    tls: OnceLock<Result<Client, String>>,
    plain: OnceLock<Result<Client, String>>,
}

impl Http {
    /// The client for this scheme, or why there is none.
    pub fn client(&self, scheme: &str) -> Result<&Client, String> {
        let made = match scheme {
            "https" => self.tls.get_or_init(|| make(Client::builder().https_only(true))),
            // Without certificates it can also be made where the system has none. No proxy leads to this machine.
            _ => self.plain.get_or_init(|| make(Client::builder().tls_certs_only([]).no_proxy())),
        };
        made.as_ref().map_err(String::clone)
    }
}

fn make(builder: ClientBuilder) -> Result<Client, String> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another part of the program may have installed it: there is but this one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    builder.user_agent(concat!("stratos/", env!("CARGO_PKG_VERSION"))).build().map_err(|error| cause(&error))
}

/// The innermost cause of an error. What is around it names addresses that the reader knows.
pub fn cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether the other side speaks no TLS at all.
pub fn speaks_no_tls(error: &reqwest::Error) -> bool {
    let tls = causes(error).filter_map(|error| error.downcast_ref()).find_map(inside);
    matches!(tls, Some(rustls::Error::InvalidMessage(_)))
}

/// The TLS error that an I/O error wraps, however often: as a source it is left out.
fn inside(mut error: &std::io::Error) -> Option<&rustls::Error> {
    loop {
        let inner = error.get_ref()?;
        match inner.downcast_ref::<std::io::Error>() {
            Some(wrapped) => error = wrapped,
            None => return inner.downcast_ref(),
        }
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut cause = error.source();
    std::iter::from_fn(move || {
        let found = cause?;
        cause = found.source();
        Some(found)
    })
}
