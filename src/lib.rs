//! The program `stratos`: the command line over [`stratos_engine`].
//!
//! [`cli`] parses and prints, [`connect`] makes platforms of environments, [`registry`] the client that asks for digests,
//! [`revision`] asks git where the manifest stands. What is decided is decided in the engine.

pub mod cli;
pub mod connect;
pub mod registry;
pub mod revision;
