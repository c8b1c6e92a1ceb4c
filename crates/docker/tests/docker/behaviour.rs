//! What is particular to this platform, by name.
