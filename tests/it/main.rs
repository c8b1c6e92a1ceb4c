//! The program as a user runs it: one file per command. Files that are no module here fail a test, see `layout`.

#![allow(missing_docs, reason = "tests")]

mod layout;
mod plan_display;
