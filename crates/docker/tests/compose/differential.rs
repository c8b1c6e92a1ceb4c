//! The same file deployed by a client that is not ours: what differs is explained here, and nothing else does.
