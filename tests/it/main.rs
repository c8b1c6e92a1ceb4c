//! The program as a user runs it: one file per command. Files that are no module here fail a test, see `architecture`.

#![allow(missing_docs, reason = "tests")]

mod architecture;
mod edit;
mod init;
mod layout;
mod plan_display;
mod schema;
mod support;
mod usage;
