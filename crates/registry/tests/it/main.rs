//! The client against the registry that Debian packages (`docker-registry`), and against servers that misbehave.

#![allow(clippy::unwrap_used, reason = "tests")]

mod credentials;
mod digests;
mod login;
mod plans;
mod refusals;
mod support;
mod tls;
