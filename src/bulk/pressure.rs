//! How much the server may be asked for just now: how large a request may be, how many may be under way, and whether
//! it is to be left alone. One for all bodies of a process, kept from invocation to invocation.
//!
//! A server that has too much to do (429, 503) halves both; what it takes lets both grow again, step by step. After
//! every push-back nobody sends anything for a while, then one request probes, and the others wait for its answer.
//! Several processes before one server need not know of each other: each gives way, in pauses of random length.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::deadline::Deadline;
use crate::outcome::Failure;

/// Below this a smaller body no longer helps a struggling server: the cost of a request itself dominates.
const FLOOR_BYTES: usize = 16 << 10;

/// A request taken allows the next one to be larger by a 32nd (half of what the server takes is made up for by 23
/// requests), at least by a 256th of the most: additive where it is small, so that several processes come to equal shares.
const GROWTH: usize = 32;
const LEAST_GROWTH: usize = 256;

/// Requests taken in a row before one more may be under way, and before the last push-back explains nothing any more.
const TAKEN_PER_FLIGHT: u32 = 8;

/// Longest pause is drawn from 0.2 s, 0.4 s, 0.8 s, … up to 30 s: short enough to use a gap, long enough to leave a
/// struggling server alone. One process alone before a small, fast server makes use of 87 % of it in the simulation; with
/// 0.5 s of 77 %, at no fewer rejections.
const PAUSE_BASE: Duration = Duration::from_millis(200);
const PAUSE_CAP: Duration = Duration::from_secs(30);

/// A `Retry-After` is kept to this far: a server that is well again is not left alone for hours because of one answer.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(300);

/// Hands out turns to send a request.
#[derive(Debug)]
pub(super) struct Pressure {
    state: Mutex<State>,
    /// Held by the body whose turn is next; the others wait behind it, in order.
    queue: tokio::sync::Mutex<()>,
    ended: Notify,
    random: fn() -> f64,
}

/// The time was up before the server could be asked again.
#[derive(Debug)]
pub(super) struct OutOfTurns {
    /// Why the server was asked for less than could have been sent, if it was.
    pub(super) last_failure: Option<Failure>,
}

impl Pressure {
    /// Starts at, and never exceeds, requests of `max_bytes` and `max_in_flight` of them at a time. `random` is in 0..1.
    pub(super) fn new(max_bytes: usize, max_in_flight: usize, random: fn() -> f64) -> Self {
        Self {
            state: Mutex::new(State::new(max_bytes, max_in_flight)),
            queue: tokio::sync::Mutex::default(),
            ended: Notify::new(),
            random,
        }
    }

    /// Waits until one more request may be sent; first come, first served.
    pub(super) async fn turn(&self, deadline: Deadline) -> Result<Turn<'_>, OutOfTurns> {
        let time_left = deadline.sending_time_left();
        let turn = if time_left.is_zero() {
            None
        } else {
            let next = self.next_turn(Instant::now() + time_left);
            timeout(time_left, next).await.ok().flatten()
        };
        turn.ok_or_else(|| OutOfTurns {
            last_failure: self.state().last_failure.clone(),
        })
    }

    /// `None`: not before `end`.
    async fn next_turn(&self, end: Instant) -> Option<Turn<'_>> {
        let _next = self.queue.lock().await;
        loop {
            let pause_until = {
                let mut state = self.state();
                if state.pause_until <= Instant::now() && state.num_under_way < state.in_flight() {
                    state.num_under_way += 1;
                    return Some(Turn {
                        pressure: self,
                        round: state.round,
                        max_bytes: state.max_bytes,
                    });
                }
                state.pause_until
            };
            if pause_until >= end {
                return None;
            }
            if pause_until > Instant::now() {
                sleep_until(pause_until).await;
            } else {
                self.ended.notified().await;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send one request. Without an answer it says nothing about the server.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pressure: &'a Pressure,
    round: u32,
    max_bytes: usize,
}

/// An answer that asks for less, or none.
#[derive(Debug)]
pub(super) struct PushBack<'a> {
    /// What to report when the time is up before the next turn.
    pub(super) failure: &'a Failure,
    /// The server has too much to do.
    pub(super) throttled: bool,
    /// It took a part.
    pub(super) took_some: bool,
    /// How long it wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Turn<'_> {
    /// Bytes of NDJSON that the request may have.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The server took the request.
    pub(super) fn taken(self) {
        self.pressure.state().note_taken(self.round);
    }

    /// It did not, or not all of it, or nobody knows.
    pub(super) fn pushed_back(self, push_back: &PushBack<'_>, deadline: Deadline) {
        let random = (self.pressure.random)();
        let time_left = deadline.sending_time_left();
        self.pressure
            .state()
            .note_push_back(self.round, push_back, random, time_left);
    }

    /// It does not take a request of `num_bytes` (413), now or later.
    pub(super) fn too_large(self, num_bytes: usize) {
        let state = &mut *self.pressure.state();
        state.ceiling = state.ceiling.min((num_bytes / 2).max(1));
        state.max_bytes = state.max_bytes.min(state.ceiling);
    }

    /// It does not even take a single document (413): that says nothing of sizes, and is over once it is mended.
    pub(super) fn takes_nothing(self) {
        let state = &mut *self.pressure.state();
        state.ceiling = state.most_bytes;
        state.max_bytes = state.most_bytes;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let state = &mut *self.pressure.state();
        if state.round == self.round {
            state.num_under_way -= 1;
        }
        self.pressure.ended.notify_one();
    }
}

#[derive(Debug)]
struct State {
    /// Of one request: now, the most that the server may be sent at all, and the most that settings allow.
    max_bytes: usize,
    ceiling: usize,
    most_bytes: usize,
    /// Requests at a time, now and at most.
    max_in_flight: usize,
    most_in_flight: usize,
    /// Requests taken since the last push-back, or since one more was allowed.
    num_taken: u32,
    /// Requests sent since the last push-back and not answered yet: an older one that hangs keeps nobody waiting.
    num_under_way: usize,
    /// Grows with every push-back: what was sent before the last one says nothing new.
    round: u32,
    pause_until: Instant,
    /// Push-backs in a row. While there is one, requests are probes: one at a time.
    num_pauses: u32,
    last_failure: Option<Failure>,
}

impl State {
    fn new(max_bytes: usize, max_in_flight: usize) -> Self {
        Self {
            max_bytes,
            ceiling: max_bytes,
            most_bytes: max_bytes,
            max_in_flight,
            most_in_flight: max_in_flight,
            num_taken: 0,
            num_under_way: 0,
            round: 0,
            pause_until: Instant::now(),
            num_pauses: 0,
            last_failure: None,
        }
    }

    fn in_flight(&self) -> usize {
        if self.num_pauses > 0 {
            1
        } else {
            self.max_in_flight
        }
    }

    fn note_taken(&mut self, round: u32) {
        if round != self.round {
            return;
        }
        self.num_pauses = 0;
        let step = (self.max_bytes / GROWTH).max(self.ceiling / LEAST_GROWTH).max(1);
        self.max_bytes = (self.max_bytes + step).min(self.ceiling);
        self.num_taken += 1;
        if self.num_taken >= TAKEN_PER_FLIGHT {
            self.num_taken = 0;
            self.max_in_flight = (self.max_in_flight + 1).min(self.most_in_flight);
            self.last_failure = None;
        }
    }

    fn note_push_back(&mut self, round: u32, push_back: &PushBack<'_>, random: f64, time_left: Duration) {
        let now = Instant::now();
        self.last_failure = Some(push_back.failure.clone());
        if let Some(wait) = push_back.retry_after {
            // Whoever else was told the same does not come back in the same moment.
            let until = now + wait.min(RETRY_AFTER_CAP) + PAUSE_BASE.mul_f64(random);
            self.pause_until = self.pause_until.max(until);
        }
        if round != self.round {
            return;
        }
        self.round = self.round.wrapping_add(1);
        self.num_under_way = 0;
        self.num_taken = 0;
        if push_back.took_some {
            self.num_pauses = 0;
        }
        self.num_pauses = self.num_pauses.saturating_add(1);
        // The next invocation begins with a probe, and has its own time for it.
        let until = now + pause(self.num_pauses, random).min(time_left);
        self.pause_until = self.pause_until.max(until);
        if push_back.throttled {
            self.max_bytes = (self.max_bytes / 2).max(FLOOR_BYTES).min(self.ceiling);
            self.max_in_flight = (self.max_in_flight / 2).max(1);
        }
    }
}

/// Full jitter: anything from nothing to the doubled limit. Source: "Exponential backoff and jitter", AWS
/// architecture blog. `random` is in 0..1.
fn pause(num_pauses: u32, random: f64) -> Duration {
    let doublings = num_pauses.saturating_sub(1).min(16);
    let limit = PAUSE_BASE.saturating_mul(1 << doublings).min(PAUSE_CAP);
    limit.mul_f64(random)
}

#[cfg(test)]
mod tests;
