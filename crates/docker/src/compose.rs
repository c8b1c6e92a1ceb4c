//! Compose files as native parts.

mod yaml;
