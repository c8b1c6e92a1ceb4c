//! The program against real Docker engines and a real Kubernetes, as a user runs it. They need root and Debian's packages: see `tests/platforms`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

mod catalogue;
mod docker;
mod example;
mod project;
mod runs;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the other test target uses the rest")]
mod support;
