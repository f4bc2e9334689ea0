//! Elasticsearch over HTTP: the official client's transport, credentials that are rotated meanwhile, and what
//! `flowctl setup` installs.

pub mod client;
pub mod renewal;
pub mod setup;
