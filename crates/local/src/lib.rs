//! The embedded platform: an app's `command` runs as supervised processes on this machine.
//!
//! One detached supervisor per environment owns everything that runs: it starts processes, probes them, proxies to
//! the healthy ones, and rolls changes out. The command line finds it again through a socket in the environment's
//! folder ([`LocalConfig::folder`]) and talks to it in JSON lines. What it holds is written to `state.json` there, as
//! documents and fingerprints; the values of secrets are in its memory alone, so after a reboot an apply has to start
//! things again, and `observe` says so.
//!
//! Reading order: [`config`], [`translate`] (what an app becomes), `observe`, `apply`, `health` and `logs` (the side of
//! the command line), `protocol`, and [`supervisor`] (the other side).

pub mod config;
pub mod supervisor;
pub mod translate;

mod apply;
mod client;
mod folder;
mod found;
mod health;
mod lease;
mod lock;
mod logs;
mod observe;
mod platform;
mod protocol;
mod state;

pub use config::LocalConfig;
pub use found::{abandon, environment_folder, environments};
pub use platform::LocalPlatform;
