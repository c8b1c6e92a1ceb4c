//! The program as a user runs it: one file per command. Files that are no module here fail a test, see `architecture`.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod apply;
mod architecture;
mod balance;
mod crash;
mod deploy;
mod docker;
mod dockerfile;
mod documentation;
mod edit;
mod examples;
mod hello;
mod images;
mod init;
mod kubernetes;
mod layout;
mod plan;
mod plan_display;
mod plans;
mod schema;
mod status;
mod supervisor_log;
mod support;
mod terminal;
mod usage;
