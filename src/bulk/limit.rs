//! How large a request may be just now: shared by all bodies of an invocation, shrunk when the server pushes back.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Below this a smaller body no longer helps a struggling server: the cost of a request itself dominates.
const FLOOR_BYTES: usize = 16 << 10;

/// The present limit of one request's NDJSON.
#[derive(Debug)]
pub struct BodyLimit {
    current: AtomicUsize,
    ceiling: AtomicUsize,
}

impl BodyLimit {
    /// Starts at, and never exceeds, `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            current: AtomicUsize::new(max_bytes),
            ceiling: AtomicUsize::new(max_bytes),
        }
    }

    /// Bytes of NDJSON that one request may have now.
    pub fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// The server is under pressure (429): half as much.
    pub(super) fn shrink(&self) {
        self.update(|current, ceiling| (current / 2).max(FLOOR_BYTES).min(ceiling));
    }

    /// The server took a request: an eighth more.
    pub(super) fn grow(&self) {
        self.update(|current, ceiling| (current + current / 8).min(ceiling));
    }

    /// The server does not take a request of `num_bytes` (413), now or later.
    pub(super) fn refuse(&self, num_bytes: usize) {
        self.ceiling.fetch_min((num_bytes / 2).max(1), Ordering::Relaxed);
        self.update(usize::min);
    }

    /// Bodies in flight may interleave here; each step alone is sound, so no order is needed between them.
    fn update(&self, step: impl Fn(usize, usize) -> usize) {
        let ceiling = self.ceiling.load(Ordering::Relaxed);
        self.current
            .store(step(self.current(), ceiling), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_halves_and_success_restores_slowly() {
        let limit = BodyLimit::new(4 << 20);
        limit.shrink();
        assert_eq!(limit.current(), 2 << 20);
        for _ in 0..20 {
            limit.shrink();
        }
        assert_eq!(limit.current(), FLOOR_BYTES);
        let mut successes = 0;
        while limit.current() < 4 << 20 {
            limit.grow();
            successes += 1;
        }
        assert!((40..60).contains(&successes), "{successes}");
    }

    #[test]
    fn a_size_the_server_refuses_is_never_tried_again() {
        let limit = BodyLimit::new(4 << 20);
        limit.refuse(3 << 20);
        for _ in 0..100 {
            limit.grow();
        }
        assert_eq!(limit.current(), 3 << 19);
        limit.refuse(1);
        assert_eq!(limit.current(), 1);
    }
}
