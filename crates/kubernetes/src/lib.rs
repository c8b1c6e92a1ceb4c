//! The platform `kubernetes`: any cluster, through its API alone.
//!
//! Read in this order: `kind` names what there is; `object` makes documents of objects and objects of documents; `translate`
//! makes objects of apps; `observe` reads, `apply` writes, `health` judges. Documents speak the vocabulary of the Kubernetes API
//! (`docs/design/kubernetes.md`).

pub mod access;
mod again;
#[cfg(test)]
mod answering;
mod apply;
mod apply_set;
pub mod config;
pub mod connection;
mod definitions;
mod discovery;
mod entry;
mod exec;
mod failure;
mod health;
mod items;
mod jobs;
mod kind;
mod lease;
mod lists;
mod logs;
mod marks;
mod names;
mod native;
mod object;
mod observe;
mod operators;
mod pages;
mod platform;
mod pods;
mod preview;
mod query;
mod read;
mod release;
mod retire;
mod settings;
mod shape;
mod support;
mod translate;
mod types;

pub use config::EnvironmentConfig;
pub use native::helm::Helm;
pub use platform::KubernetesPlatform;
