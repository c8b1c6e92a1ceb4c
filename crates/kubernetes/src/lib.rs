//! The platform `kubernetes`: any cluster, through its API alone.
//!
//! Read in this order: `kind` names what there is; `object` makes documents of objects and objects of documents; `translate`
//! makes objects of apps; `observe` reads, `apply` writes, `health` judges. Documents speak the vocabulary of the Kubernetes API
//! (`docs/design/kubernetes.md`).

pub mod access;
pub mod config;
pub mod connection;
mod discovery;
mod exec;
mod failure;
mod health;
mod jobs;
mod kind;
mod list;
mod logs;
mod marks;
mod pods;
mod query;

pub use config::EnvironmentConfig;
