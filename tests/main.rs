//! Whole behaviours on the real servers: Elasticsearch, S3 and SQS started by `infra/local/stack`, and the real
//! `shipper` run by `flowctl lambda-local`'s emulator. Each test has its own bucket, queues and index prefix.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by its backtrace")]

mod convert;
mod delivery;
mod deploy;
mod doctor;
mod faults;
mod geo;
mod kibana;
mod known;
mod ledger;
mod manual;
mod matrix;
mod quarantine;
mod quarantine_replay;
mod redrive;
mod rights;
mod roles;
mod security;
mod settings;
mod setup;
mod structure;
mod support;
