//! There is no connection, or it breaks, or nothing comes: each time not knowing whether the server acted.

use std::time::Duration;

use super::super::case::{Case, Trouble};
use super::super::play;
use super::super::stage::Stage;
use super::{BULK, USUAL, hurry};
use crate::support::World;
use crate::support::proxy::Fault;

/// Longer than any client waits.
pub(super) const NEVER: Duration = Duration::from_secs(300);

const CASES: &[Case] = &[
    Case {
        name: "es-refuses-connections",
        trouble: Trouble::State(|stage, on| Box::pin(close(stage, on))),
        ..USUAL
    },
    Case {
        name: "es-resets-before",
        trouble: Trouble::Requests(BULK, Fault::Reset, 2),
        ..USUAL
    },
    Case {
        name: "es-acts-and-resets",
        trouble: Trouble::Requests(BULK, Fault::ResetInsteadOfAnswer, 2),
        ..USUAL
    },
    Case {
        name: "es-resets-amid-answer",
        trouble: Trouble::Requests(BULK, Fault::ResetAfter(40), 2),
        ..USUAL
    },
    Case {
        name: "es-ends-amid-answer",
        trouble: Trouble::Requests(BULK, Fault::EndAfter(40), 2),
        ..USUAL
    },
    Case {
        name: "es-acts-and-is-silent",
        trouble: Trouble::Requests(BULK, Fault::Delay(NEVER), 2),
        adjust: wait_briefly,
        ..USUAL
    },
    Case {
        name: "es-stalls-amid-answer",
        trouble: Trouble::Requests(BULK, Fault::StallAfter(40), 2),
        adjust: wait_briefly,
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

fn wait_briefly(world: &mut World) {
    hurry(world);
    world
        .variables
        .insert("FLOWSHIP_BULK_TIMEOUT_MS".into(), "1000".into());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_fail() {
    play(CASES, None).await;
}
