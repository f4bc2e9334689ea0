//! Elasticsearch fails, refuses, or answers nonsense.

use std::time::Duration;

use flowship::outcome::Reason;

use super::case::{Becomes, Case, Place, Trouble};
use super::stage::{BYSTANDER, HIT, ONE_BAD_LINE};
use crate::support::World;
use crate::support::proxy::Requests;

mod access;
mod answers;
mod connections;
mod index;
mod items;
mod node;

/// Documents: what else is written by `_bulk`, is not by `create`.
const BULK: Requests =
    Requests::naming(&["POST ", "/_bulk"]).with_body(|body| body.starts_with("{\"create\":"));

/// What the cases of this family have in common: all objects share one body.
const USUAL: Case = Case {
    name: "",
    place: Place::Elasticsearch,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[BYSTANDER, HIT, ONE_BAD_LINE],
    becomes: Becomes::Letter(Reason::BulkUnavailable),
    // An invocation tries again until its time is up; messages need not come back together.
    most_requests: 60,
    adjust: hurry,
};

/// What only an operator can mend: it is asked once a receive, for each message alone if they do not come together.
const OPERATORS: Case = Case {
    becomes: Becomes::Letter(Reason::BulkMisconfigured),
    most_requests: 6,
    adjust: |_world| {},
    ..USUAL
};

/// A few seconds for work, and three to end in order. A busy server needs some to make an index.
fn hurry(world: &mut World) {
    world.timeout = Duration::from_secs(10);
}
