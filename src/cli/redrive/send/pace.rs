//! How many messages a second: a slow start, then the rate that was asked for.

use std::time::Duration;

use tokio::time::Instant;

use crate::queue::MAX_BATCH_ENTRIES;

/// A run begins with this part of its rate.
const FIRST_SHARE: u32 = 10;

/// The rate doubles every so often until it is what was asked for.
const DOUBLING: Duration = Duration::from_secs(5);

/// When how much may be sent.
#[derive(Debug)]
pub(super) struct Pace {
    /// Messages a second; 0: no limit.
    rate: u32,
    began: Instant,
    next: Instant,
}

impl Pace {
    /// Begins now.
    pub(super) fn new(rate: u32) -> Self {
        let now = Instant::now();
        Self {
            rate,
            began: now,
            next: now,
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.rate > 0
    }

    /// How many messages may go at once.
    pub(super) fn batch(&self) -> usize {
        match usize::try_from(self.rate_now()) {
            Ok(rate) if self.is_limited() => rate.clamp(1, MAX_BATCH_ENTRIES),
            _ => MAX_BATCH_ENTRIES,
        }
    }

    /// How long to wait before the next messages.
    pub(super) fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// So many were sent.
    pub(super) fn count(&mut self, num_messages: usize) {
        if self.is_limited() {
            let num_messages = u32::try_from(num_messages).unwrap_or(u32::MAX);
            let takes = Duration::from_secs(1).saturating_mul(num_messages) / self.rate_now();
            self.next = self.next.max(Instant::now()) + takes;
        }
    }

    /// At least 1.
    fn rate_now(&self) -> u32 {
        let doublings = self.began.elapsed().as_secs() / DOUBLING.as_secs();
        let factor = u32::try_from(doublings)
            .ok()
            .and_then(|doublings| 2_u32.checked_pow(doublings))
            .unwrap_or(u32::MAX);
        (self.rate / FIRST_SHARE)
            .max(1)
            .saturating_mul(factor)
            .min(self.rate.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages go in each of the first seconds.
    async fn per_second(rate: u32, num_seconds: usize) -> Vec<usize> {
        let began = Instant::now();
        let mut pace = Pace::new(rate);
        let mut sent = vec![0; num_seconds];
        loop {
            tokio::time::sleep(pace.wait()).await;
            let second = usize::try_from(began.elapsed().as_secs()).unwrap();
            if second >= num_seconds {
                return sent;
            }
            sent[second] += pace.batch();
            pace.count(pace.batch());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_begins_slowly_and_keeps_to_its_rate() {
        let sent = per_second(100, 30).await;
        assert_eq!(sent[0], 10);
        assert_eq!(sent[7], 20);
        assert_eq!(sent[25..], [100; 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_a_second_is_one_a_second() {
        assert_eq!(per_second(1, 20).await, [1; 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_never_waits() {
        let mut pace = Pace::new(0);
        pace.count(1_000_000);
        assert_eq!((pace.wait(), pace.batch()), (Duration::ZERO, 10));
    }
}
