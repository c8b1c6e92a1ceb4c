//! What the in-memory platform itself must do, and that the suite fails on one that does not.
