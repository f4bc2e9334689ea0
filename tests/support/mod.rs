//! What the tests share: the local stack (once per run), a [`World`] of bucket, queues and index prefix per test, and
//! a proxy that fails as it is told.

pub(crate) mod flowlogs;
pub(crate) mod mmdb;
#[path = "../bench/parquet.rs"]
pub(crate) mod parquet;
pub(crate) mod peek;
pub(crate) mod proxy;
pub(crate) mod stack;
pub(crate) mod world;

pub(crate) use flowlogs::{FlowLog, gzip};
pub(crate) use proxy::FaultProxy;
pub(crate) use stack::Stack;
pub(crate) use world::World;
