//! The program `stratos`: the command line over [`stratos_engine`].
//!
//! [`cli`] parses and prints, [`connect`] makes platforms of environments, [`revision`] asks git where the manifest
//! stands. What is decided is decided in the engine.

pub mod cli;
pub mod connect;
pub mod revision;
