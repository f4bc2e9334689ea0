//! What the tests share: the local stack (once per run) and a [`World`] of bucket, queues and index prefix per test.

pub(crate) mod flowlogs;
pub(crate) mod mmdb;
pub(crate) mod stack;
pub(crate) mod world;

pub(crate) use flowlogs::{FlowLog, gzip};
pub(crate) use stack::Stack;
pub(crate) use world::World;
