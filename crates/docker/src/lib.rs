//! The platforms docker and swarm of Stratos: one engine, and a swarm of them.
