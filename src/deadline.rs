//! The moment an invocation ends, and how much of its time may be used.

use std::time::Duration;

use tokio::time::Instant;

/// When work must be wound up so that the invocation answers in time. AWS kills a function at its timeout; what
/// it was doing then comes back without a reason.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    stop_at: Instant,
    margin: Duration,
}

impl Deadline {
    /// For an invocation that ends at `end`: work stops `margin` before it. Half of the time that is left now belongs
    /// to work in any case: a margin longer than the function's timeout must not leave none.
    pub fn new(end: Instant, margin: Duration) -> Self {
        let now = Instant::now();
        let margin = margin.min(end.saturating_duration_since(now) / 2);
        Self {
            stop_at: (end - margin).max(now),
            margin,
        }
    }

    /// No new work starts after this moment.
    pub fn stop_at(&self) -> Instant {
        self.stop_at
    }

    /// Time left for work; zero once it must stop.
    pub fn time_left(&self) -> Duration {
        self.stop_at.saturating_duration_since(Instant::now())
    }

    /// Whether work must be wound up now.
    pub fn has_passed(&self) -> bool {
        self.time_left().is_zero()
    }

    /// The limit of one request: `usual`, but never beyond the first half of the margin, whenever it starts, so that the
    /// other half is left to write dead letters and to answer.
    pub fn request_timeout(&self, usual: Duration) -> Duration {
        let latest = self.stop_at + self.margin / 2;
        usual.min(latest.saturating_duration_since(Instant::now()))
    }

    /// The limit of one step after the work, such as writing a dead letter: half of what is left until the invocation
    /// ends, so that there is always time to answer.
    pub fn settle_timeout(&self) -> Duration {
        let end = self.stop_at + self.margin;
        end.saturating_duration_since(Instant::now()) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_margin_longer_than_the_invocation_leaves_half_of_it_for_work() {
        let now = Instant::now();
        let deadline = Deadline::new(now + Duration::from_secs(10), Duration::from_secs(20));
        assert_eq!(deadline.time_left(), Duration::from_secs(5));
        let late = Deadline::new(now, Duration::from_secs(20));
        assert!(late.has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_never_outlives_half_the_margin() {
        let end = Instant::now() + Duration::from_secs(60);
        let deadline = Deadline::new(end, Duration::from_secs(20));
        assert_eq!(deadline.time_left(), Duration::from_secs(40));
        assert_eq!(
            deadline.request_timeout(Duration::from_secs(90)),
            Duration::from_secs(50)
        );
        assert_eq!(
            deadline.request_timeout(Duration::from_secs(5)),
            Duration::from_secs(5)
        );
        assert_eq!(deadline.settle_timeout(), Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(41)).await;
        assert_eq!(deadline.settle_timeout(), Duration::from_millis(9500));
        assert!(deadline.has_passed());
        assert_eq!(
            deadline.request_timeout(Duration::from_secs(90)),
            Duration::from_secs(9),
            "what begins late ends no later"
        );
    }
}
