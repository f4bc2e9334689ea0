//! Elasticsearch over HTTP: the official client's transport, credentials that are rotated meanwhile, the
//! ledger, and what `flowctl setup` installs.

pub mod client;
pub mod ledger;
pub mod renewal;
pub mod setup;
