//! Compose files as native parts: `files/<name>/` is a manifest with its compose files, in the style of those that people
//! publish. `documents.txt` beside it is what they become on a swarm,
//! `documents-docker.txt` on a plain engine; `STRATOS_BLESS=1` writes them anew.

mod differential;
mod documents;
mod live;
mod on_an_engine;
mod refused;
mod support;
