//! Elasticsearch over HTTP: the official client's transport, credentials that are rotated meanwhile, the
//! ledger, and what `flowctl setup` installs.

pub mod client;
pub mod ledger;
pub mod renewal;
#[cfg(test)]
pub(crate) mod script;
pub mod setup;
