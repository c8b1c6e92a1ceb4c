//! How a cluster is found and reached.
