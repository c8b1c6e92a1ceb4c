//! Against a real cluster.

mod exec;
mod health;
mod logs;
mod support;
