//! flowship: AWS VPC flow logs from S3 into Elasticsearch.
//!
//! One promise: every line of every object is indexed exactly once, or is somewhere you can see it, with the
//! reason.
//!
//! ```text
//!  S3 ──notification──► SQS main queue ──batch──► Lambda ───────────────────► Elasticsearch
//!                           ▲                      │                          flowlogs-vpc-2026.11.20
//!                           │                      │ notification → object → bytes → lines
//!                           │                      │ → row → document → bulk body → verdict
//!                           │                      ├── quarantine in S3 (single lines + reason)
//!                        redrive ◄─────────────────┴── dead-letter queue (failed S3 event + reason)
//! ```
//!
//! | module | turns | into |
//! |---|---|---|
//! | [`config`] | environment | settings, or all their problems at once |
//! | [`notification`] | a message body | object references, each with its S3 event record |
//! | [`object`] | an object reference | a stream of bytes (the [`object::ObjectStore`] seam) |
//! | [`fetch`] | where files lie that settings name | open files |
//! | [`decode`] | bytes | lines, inflated and bounded |
//! | [`flow`] | a header and a line | a typed row (the field table lives here) |
//! | [`enrich`] | a row | what follows from it or is known beside it: the community id, places |
//! | [`document`] | a row | ECS JSON, document id, index name |
//! | [`bulk`] | documents | bulk bodies, then one verdict per document (the [`bulk::BulkSink`] seam) |
//! | [`elasticsearch`] | bulk bodies, templates | HTTP calls of the official client; `setup` |
//! | [`kibana`] | saved objects, alert rules | HTTP calls of Kibana's API; `setup` |
//! | [`outcome`] | verdicts | counters and the closed list of reasons |
//! | [`ship`] | objects | reports: the only module that sees all stages |
//! | [`quarantine`] | single refused lines | a file beside them, with their reasons (the [`quarantine::Quarantine`] seam) |
//! | [`continuation`] | an object that needs more time | a message that says where to go on |
//! | [`dead_letter`] | a failed object | a DLQ message: its S3 event and the reason |
//! | [`ledger`] | what became of an object | an entry in the ledger (the [`ledger::Ledger`] seam) |
//! | [`queue`] | messages | what SQS does with them (the [`queue::MessageQueue`] seam) |
//! | [`message`] | a message batch | acknowledged, dead-lettered or failed messages |
//! | [`deadline`] | the end of an invocation | how much of its time may be used |
//! | [`lambda`] | Lambda's SQS event | a partial batch response |
//! | [`aws`] | the seams | S3, SQS and Secrets Manager; the only home of the SDK's types |
//! | [`telemetry`] | what happened | structured log lines, metrics |
//! | [`assets`] | `index-templates/`, `kibana/` | bytes inside the binaries |
//! | [`cli`] | command lines | `redrive` and `flowctl` |
//!
//! Use goes one way: `bin → lambda, cli → message → ship → stages → flow, outcome`. The middle, from lines to
//! documents, is synchronous and knows no AWS or HTTP type.

pub mod assets;
pub mod aws;
pub mod bulk;
pub mod cli;
pub mod config;
pub mod continuation;
pub mod dead_letter;
pub mod deadline;
pub mod decode;
pub mod document;
pub mod elasticsearch;
pub mod enrich;
pub mod fetch;
pub mod flow;
pub mod kibana;
pub mod lambda;
pub mod ledger;
pub mod message;
pub mod notification;
pub mod object;
pub mod outcome;
pub mod quarantine;
pub mod queue;
mod radix64;
pub mod ship;
pub mod telemetry;
