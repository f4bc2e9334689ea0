//! Elasticsearch fails, refuses, or answers nonsense.

use std::time::Duration;

use flowship::outcome::Reason;

use super::case::{Becomes, Case, Place, Trouble};
use super::play;
use super::stage::{BYSTANDER, HIT, ONE_BAD_LINE};
use crate::support::proxy::{Fault, Requests};

const BULK: Requests = Requests::naming(&["POST ", "/_bulk"]);

/// What the cases of this family have in common: all objects share one body.
const USUAL: Case = Case {
    name: "",
    place: Place::Elasticsearch,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[BYSTANDER, HIT, ONE_BAD_LINE],
    becomes: Becomes::Letter(Reason::BulkUnavailable),
    most_requests: 40,
    // An invocation tries again until its time is up.
    adjust: |world| world.timeout = Duration::from_secs(8),
};

const ANSWERS: &[Case] = &[Case {
    name: "es-unavailable",
    trouble: Trouble::Requests(BULK, UNAVAILABLE, 2),
    ..USUAL
}];

const UNAVAILABLE: Fault = Fault::Answer(
    "503 Service Unavailable",
    &[("Content-Type", "text/html")],
    "<html>503</html>",
);

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_fails() {
    play(ANSWERS, None).await;
}
