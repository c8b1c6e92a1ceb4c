//! Asks image registries, with the credentials of the Docker configuration.
//!
//! [`Reference`] reads an image's name as Docker does, [`Credentials`] finds the user's password for its registry, and
//! [`Client`] asks what digest a tag stands for. What it may read (files, `PATH`) is passed in.

mod challenge;
mod client;
pub mod credentials;
mod exchange;
mod http;
mod reference;

pub use client::{Client, InvalidRegistry};
pub use credentials::{Credential, Credentials};
pub use reference::{InvalidReference, Reference};
