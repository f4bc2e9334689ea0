//! S3 fails, or breaks off in the middle of an object.

use std::time::Duration;

use flowship::outcome::Reason;

use super::case::{ATTEMPTS, Becomes, Case, Place, Trouble};
use super::play;
use super::stage::{BYSTANDER, HIT, ONE_BAD_LINE, PUT_ASIDE, Stage};
use crate::support::proxy::{Fault, Requests};

const GET: Requests = Requests::naming(&["GET ", "/hit.gz"]);

/// What the cases of this family have in common.
const USUAL: Case = Case {
    name: "",
    place: Place::S3,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[HIT],
    becomes: Becomes::Letter(Reason::ObjectUnavailable),
    // Two receives.
    most_requests: 2 * ATTEMPTS,
    adjust: |_world| {},
};

/// S3 does not hand the object out.
const ANSWERS: &[Case] = &[
    Case {
        name: "s3-no-such-key",
        trouble: Trouble::Requests(GET, NO_SUCH_KEY, 1),
        becomes: Becomes::Letter(Reason::ObjectNotFound),
        most_requests: 1,
        ..USUAL
    },
    Case {
        name: "s3-no-such-bucket",
        trouble: Trouble::Requests(GET, NO_SUCH_BUCKET, 1),
        becomes: Becomes::Letter(Reason::ObjectNotFound),
        most_requests: 1,
        ..USUAL
    },
    Case {
        name: "s3-access-denied",
        trouble: Trouble::Requests(GET, ACCESS_DENIED, 1),
        becomes: Becomes::Letter(Reason::ObjectAccessDenied),
        most_requests: 1,
        ..USUAL
    },
    Case {
        name: "s3-archived",
        trouble: Trouble::Requests(GET, ARCHIVED, 1),
        becomes: Becomes::Letter(Reason::ObjectArchived),
        most_requests: 1,
        ..USUAL
    },
    Case {
        name: "s3-expired-token",
        trouble: Trouble::Requests(GET, EXPIRED_TOKEN, 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-internal-error",
        trouble: Trouble::Requests(GET, INTERNAL_ERROR, ATTEMPTS),
        ..USUAL
    },
    Case {
        name: "s3-slow-down",
        trouble: Trouble::Requests(GET, SLOW_DOWN, ATTEMPTS),
        ..USUAL
    },
    Case {
        name: "s3-other-region-301",
        trouble: Trouble::Requests(GET, OTHER_REGION_301, 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-other-region-400",
        trouble: Trouble::Requests(GET, OTHER_REGION_400, 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-never-answers",
        trouble: Trouble::Requests(GET, Fault::Delay(Duration::from_secs(300)), 1),
        becomes: Becomes::Letter(Reason::DeadlineExceeded),
        most_requests: 2,
        adjust: |world| world.timeout = Duration::from_secs(6),
        ..USUAL
    },
];

/// The connection fails, at its beginning or in the middle of the object.
const CONNECTIONS: &[Case] = &[
    Case {
        name: "s3-refuses-connections",
        trouble: Trouble::State(|stage, on| Box::pin(close(stage, on))),
        concerns: &[BYSTANDER, HIT, ONE_BAD_LINE],
        ..USUAL
    },
    Case {
        name: "s3-resets-connections",
        trouble: Trouble::Requests(GET, Fault::Reset, ATTEMPTS),
        ..USUAL
    },
    Case {
        name: "s3-body-reset",
        trouble: Trouble::Requests(GET, Fault::ResetAfter(1000), 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-body-cut",
        trouble: Trouble::Requests(GET, Fault::EndAfter(1000), 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-body-stalls",
        trouble: Trouble::Requests(GET, Fault::StallAfter(1000), 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-length-too-large",
        trouble: Trouble::Requests(GET, Fault::WrongLength(100), 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-length-too-small",
        trouble: Trouble::Requests(GET, Fault::WrongLength(-100), 1),
        most_requests: 2,
        ..USUAL
    },
    Case {
        name: "s3-bit-flipped",
        trouble: Trouble::Requests(GET, Fault::FlipBit(1000), 1),
        becomes: Becomes::Letter(Reason::DecodeCorruptGzip),
        most_requests: 1,
        ..USUAL
    },
];

/// The bad line of an object cannot be kept aside.
const QUARANTINE: &[Case] = &[
    Case {
        name: "s3-quarantine-denied",
        trouble: Trouble::Requests(PUT_ASIDE, ACCESS_DENIED, 1),
        most_requests: 2,
        ..ASIDE
    },
    Case {
        name: "s3-quarantine-no-bucket",
        trouble: Trouble::Requests(PUT_ASIDE, NO_SUCH_BUCKET, 1),
        most_requests: 2,
        ..ASIDE
    },
    Case {
        name: "s3-quarantine-slow-down",
        trouble: Trouble::Requests(PUT_ASIDE, SLOW_DOWN, ATTEMPTS),
        ..ASIDE
    },
    Case {
        name: "s3-quarantine-answer-lost",
        trouble: Trouble::Requests(PUT_ASIDE, Fault::ResetInsteadOfAnswer, ATTEMPTS),
        ..ASIDE
    },
];

const ASIDE: Case = Case {
    concerns: &[ONE_BAD_LINE],
    becomes: Becomes::Letter(Reason::QuarantineUnavailable),
    ..USUAL
};

async fn close(stage: &Stage, on: bool) {
    if on {
        stage.proxy.close().await;
    } else {
        stage.proxy.open().await;
    }
}

// Codes and statuses: "Error responses" in the Amazon S3 API reference.
const NO_SUCH_KEY: Fault = Fault::Answer("404 Not Found", XML, "<Error><Code>NoSuchKey</Code></Error>");
const NO_SUCH_BUCKET: Fault = Fault::Answer("404 Not Found", XML, "<Error><Code>NoSuchBucket</Code></Error>");
const ACCESS_DENIED: Fault = Fault::Answer("403 Forbidden", XML, "<Error><Code>AccessDenied</Code></Error>");
const ARCHIVED: Fault = Fault::Answer(
    "403 Forbidden",
    XML,
    "<Error><Code>InvalidObjectState</Code><StorageClass>GLACIER</StorageClass></Error>",
);
const EXPIRED_TOKEN: Fault =
    Fault::Answer("400 Bad Request", XML, "<Error><Code>ExpiredToken</Code></Error>");
const INTERNAL_ERROR: Fault = Fault::Answer(
    "500 Internal Server Error",
    XML,
    "<Error><Code>InternalError</Code></Error>",
);
const SLOW_DOWN: Fault = Fault::Answer("503 Slow Down", XML, "<Error><Code>SlowDown</Code></Error>");
const OTHER_REGION_301: Fault = Fault::Answer(
    "301 Moved Permanently",
    &[
        ("Content-Type", "application/xml"),
        ("x-amz-bucket-region", "eu-west-1"),
    ],
    "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3-eu-west-1.amazonaws.com</Endpoint></Error>",
);
const OTHER_REGION_400: Fault = Fault::Answer(
    "400 Bad Request",
    XML,
    "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
);
const XML: &[(&str, &str)] = &[("Content-Type", "application/xml")];

#[tokio::test(flavor = "multi_thread")]
async fn s3_refuses_the_object() {
    play(ANSWERS, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_to_s3_fails() {
    play(CONNECTIONS, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_cannot_be_kept_aside() {
    play(QUARANTINE, None).await;
}
