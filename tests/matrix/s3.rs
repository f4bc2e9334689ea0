//! S3 fails, or holds something else than a flow log.

use flowship::outcome::Reason;

use super::case::{Becomes, Case, Place, Trouble};
use super::play;
use super::stage::{BYSTANDER, HIT, ONE_BAD_LINE, Stage};
use crate::support::proxy::{Fault, Requests};

/// The SDK asks three times: a fault that outlasts them is one that we see.
const ATTEMPTS: u64 = 3;

const GET: Requests = Requests::naming(&["GET ", "/hit.gz"]);

/// What the cases of this family have in common.
const USUAL: Case = Case {
    name: "",
    place: Place::S3,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[HIT],
    becomes: Becomes::Indexed,
    // Two receives.
    most_requests: 2 * ATTEMPTS,
    adjust: |_world| {},
};

const ANSWERS: &[Case] = &[
    Case {
        name: "s3-no-such-key",
        trouble: Trouble::Requests(GET, NO_SUCH_KEY, 1),
        becomes: Becomes::Letter(Reason::ObjectNotFound),
        ..USUAL
    },
    Case {
        name: "s3-slow-down",
        trouble: Trouble::Requests(GET, SLOW_DOWN, ATTEMPTS),
        becomes: Becomes::Letter(Reason::ObjectUnavailable),
        ..USUAL
    },
    Case {
        name: "s3-refuses-connections",
        trouble: Trouble::State(|stage, on| Box::pin(close(stage, on))),
        concerns: &[BYSTANDER, HIT, ONE_BAD_LINE],
        becomes: Becomes::Letter(Reason::ObjectUnavailable),
        ..USUAL
    },
    Case {
        name: "s3-truncated-gzip",
        broken: Some(|bytes| bytes[..bytes.len() / 2].to_vec()),
        becomes: Becomes::Letter(Reason::DecodeTruncatedGzip),
        ..USUAL
    },
];

async fn close(stage: &Stage, on: bool) {
    if on {
        stage.proxy.close().await;
    } else {
        stage.proxy.open().await;
    }
}

const NO_SUCH_KEY: Fault = Fault::Answer(
    "404 Not Found",
    &[("Content-Type", "application/xml")],
    "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>",
);
const SLOW_DOWN: Fault = Fault::Answer(
    "503 Slow Down",
    &[("Content-Type", "application/xml")],
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
);

#[tokio::test(flavor = "multi_thread")]
async fn s3_fails() {
    play(ANSWERS, None).await;
}
