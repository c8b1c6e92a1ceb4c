//! Compose files as native parts: `files/<name>/` is a manifest with its compose files, in the style of those that people
//! publish. `documents.txt` beside it is what they become; `STRATOS_BLESS=1` writes it anew.

mod differential;
mod documents;
mod live;
mod refused;
mod support;
