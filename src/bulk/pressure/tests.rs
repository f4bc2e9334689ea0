//! One controller with a paused clock and chosen chance.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::outcome::Reason;

const MAX_BYTES: usize = 4 << 20;

/// The longest pauses, to the millisecond.
fn pressure(max_in_flight: usize) -> Pressure {
    Pressure::new(MAX_BYTES, max_in_flight, || 1.0)
}

fn within(seconds: u64) -> Deadline {
    Deadline::new(Instant::now() + Duration::from_secs(seconds), Duration::ZERO)
}

async fn turn(pressure: &Pressure) -> Turn<'_> {
    pressure.turn(within(3600)).await.unwrap()
}

/// Whether there is a turn at once.
async fn is_free(pressure: &Pressure) -> bool {
    timeout(Duration::ZERO, pressure.turn(within(3600))).await.is_ok()
}

fn answer(turn: Turn<'_>, status: u16, retry_after: Option<u64>) {
    let (reason, throttled) = match status {
        429 => (Reason::BulkThrottled, true),
        _ => (Reason::BulkUnavailable, status == 503),
    };
    let push_back = PushBack {
        failure: &Failure::new(reason, format!("status {status}")),
        throttled,
        took_some: false,
        retry_after: retry_after.map(Duration::from_secs),
    };
    turn.pushed_back(&push_back, within(3600));
}

/// How long it takes until there is a turn.
async fn wait(pressure: &Pressure) -> Duration {
    let begin = Instant::now();
    drop(turn(pressure).await);
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn several_requests_pushed_back_together_halve_size_and_flight_once() {
    let pressure = pressure(4);
    let turns = [
        turn(&pressure).await,
        turn(&pressure).await,
        turn(&pressure).await,
        turn(&pressure).await,
    ];
    assert!(!is_free(&pressure).await);
    for (turn, status) in turns.into_iter().zip([429, 503, 429, 429]) {
        answer(turn, status, None);
    }
    let probe = turn(&pressure).await;
    assert_eq!(probe.max_bytes(), MAX_BYTES / 2);
    probe.taken();
    let two = [turn(&pressure).await, turn(&pressure).await];
    assert!(!is_free(&pressure).await, "two of four");
    drop(two);
}

#[tokio::test(start_paused = true)]
async fn after_a_push_back_one_request_probes_and_the_others_wait_for_its_answer() {
    let pressure = pressure(4);
    answer(turn(&pressure).await, 502, None);
    assert!(!is_free(&pressure).await);
    let probe = turn(&pressure).await;
    assert!(!is_free(&pressure).await, "however long the probe takes");
    let (others, ()) = tokio::join!(async { [turn(&pressure).await, turn(&pressure).await] }, async {
        probe.taken();
    });
    assert_eq!(
        others[0].max_bytes(),
        MAX_BYTES,
        "an outage says nothing of the size"
    );
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_the_cap_until_something_is_taken() {
    let pressure = pressure(2);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        answer(turn(&pressure).await, 429, None);
        pauses.push(wait(&pressure).await.as_millis());
    }
    assert_eq!(
        pauses,
        [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]
    );
    turn(&pressure).await.taken();
    answer(turn(&pressure).await, 429, None);
    assert_eq!(wait(&pressure).await.as_millis(), 200);
    assert_eq!(pause(5, 0.0), Duration::ZERO, "full jitter");
    assert_eq!(pause(u32::MAX, 0.5), Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_for_every_body_and_only_so_long() {
    let pressure = pressure(2);
    let late = turn(&pressure).await;
    answer(turn(&pressure).await, 429, None);
    answer(late, 429, Some(20));
    assert_eq!(wait(&pressure).await.as_millis(), 20_200);
    answer(turn(&pressure).await, 503, Some(100_000));
    assert_eq!(wait(&pressure).await, RETRY_AFTER_CAP + PAUSE_BASE);
}

#[tokio::test(start_paused = true)]
async fn turns_are_given_in_the_order_in_which_they_were_asked_for() {
    let pressure = Arc::new(pressure(1));
    answer(turn(&pressure).await, 429, None);
    let order: Arc<Mutex<Vec<u32>>> = Arc::default();
    let mut bodies = tokio::task::JoinSet::new();
    for number in 0..5 {
        let (pressure, order) = (Arc::clone(&pressure), Arc::clone(&order));
        bodies.spawn(async move {
            for _ in 0..2 {
                let turn = turn(&pressure).await;
                order.lock().unwrap().push(number);
                tokio::time::sleep(Duration::from_millis(10)).await;
                turn.taken();
            }
        });
    }
    bodies.join_all().await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_keeps_nobody_waiting_for_the_probe() {
    let pressure = pressure(2);
    let hanging = turn(&pressure).await;
    answer(turn(&pressure).await, 429, None);
    turn(&pressure).await.taken();
    let next = turn(&pressure).await;
    assert!(!is_free(&pressure).await);
    drop(hanging);
    assert!(!is_free(&pressure).await, "its place was given away");
    drop(next);
    assert!(is_free(&pressure).await);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ends_without_an_answer_is_followed_by_another() {
    let pressure = pressure(2);
    answer(turn(&pressure).await, 429, None);
    drop(turn(&pressure).await);
    let probe = turn(&pressure).await;
    assert!(!is_free(&pressure).await);
    probe.taken();
    assert!(is_free(&pressure).await);
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_not_waited_for_and_its_reason_is_told() {
    let pressure = pressure(2);
    answer(turn(&pressure).await, 429, Some(60));
    let begin = Instant::now();
    let out_of_turns = pressure.turn(within(30)).await.unwrap_err();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(out_of_turns.last_failure.unwrap().reason, Reason::BulkThrottled);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_probe_without_end_gives_up_at_the_deadline_with_its_reason() {
    let pressure = pressure(2);
    answer(turn(&pressure).await, 502, None);
    let _probe = turn(&pressure).await;
    let begin = Instant::now();
    let out_of_turns = pressure.turn(within(30)).await.unwrap_err();
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(out_of_turns.last_failure.unwrap().reason, Reason::BulkUnavailable);
}

#[tokio::test(start_paused = true)]
async fn every_invocation_may_probe() {
    let pressure = pressure(2);
    for _ in 0..20 {
        let deadline = within(5);
        while let Ok(turn) = pressure.turn(deadline).await {
            let failure = Failure::new(Reason::BulkUnavailable, "");
            let push_back = PushBack {
                failure: &failure,
                throttled: false,
                took_some: false,
                retry_after: None,
            };
            turn.pushed_back(&push_back, deadline);
        }
        assert!(
            pressure.turn(within(10)).await.is_ok(),
            "a pause of the last invocation ends with its time"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_size_the_server_refuses_is_never_tried_again() {
    let pressure = pressure(1);
    turn(&pressure).await.too_large(3 << 20);
    for _ in 0..100 {
        turn(&pressure).await.taken();
    }
    assert_eq!(turn(&pressure).await.max_bytes(), 3 << 19);
    turn(&pressure).await.too_large(1);
    assert_eq!(turn(&pressure).await.max_bytes(), 1);
}

#[tokio::test(start_paused = true)]
async fn from_the_floor_to_full_size_takes_about_a_hundred_requests() {
    let pressure = pressure(2);
    for _ in 0..20 {
        answer(turn(&pressure).await, 429, None);
    }
    assert_eq!(turn(&pressure).await.max_bytes(), FLOOR_BYTES);
    let mut num_taken = 0;
    while turn(&pressure).await.max_bytes() < MAX_BYTES {
        turn(&pressure).await.taken();
        num_taken += 1;
    }
    assert!((80..120).contains(&num_taken), "{num_taken}");
}

proptest! {
    #[test]
    fn whatever_is_answered_the_limits_hold_and_come_back(
        max_bytes in 1_usize..8 << 20,
        max_in_flight in 1_usize..=16,
        answers in prop::collection::vec((0_u32..3, 0_u8..4), 0..200),
    ) {
        let mut state = State::new(max_bytes, max_in_flight);
        let failure = Failure::new(Reason::BulkThrottled, "");
        for (age, answer) in answers {
            let round = state.round.wrapping_sub(age / 2);
            match answer {
                0 => state.note_taken(round),
                kind => {
                    let push_back = PushBack {
                        failure: &failure,
                        throttled: kind > 1,
                        took_some: kind > 2,
                        retry_after: None,
                    };
                    state.note_push_back(round, &push_back, 0.5, Duration::from_secs(60));
                }
            }
            let floor = FLOOR_BYTES.min(max_bytes);
            prop_assert!((floor..=max_bytes).contains(&state.max_bytes));
            prop_assert!((1..=max_in_flight).contains(&state.in_flight()));
        }
        for _ in 0..256 {
            state.note_taken(state.round);
        }
        prop_assert_eq!((state.max_bytes, state.in_flight()), (max_bytes, max_in_flight));
        prop_assert!(state.last_failure.is_none());
    }
}
