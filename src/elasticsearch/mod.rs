//! Elasticsearch over HTTP: the official client's transport, and what `flowctl setup` installs through it.

pub mod client;
pub mod setup;
