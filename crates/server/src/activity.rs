//! Who is using the daemon, for the drain and for the idle time-out. Monotonic time only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts requests in flight and remembers when the last one ended.
#[derive(Debug)]
pub(crate) struct Activity {
    born: Instant,
    in_flight: AtomicU64,
    /// Milliseconds after `born`.
    last_use: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self { born: Instant::now(), in_flight: AtomicU64::new(0), last_use: AtomicU64::new(0) }
    }

    /// Counts a request until the guard is dropped: with the last byte of its response, or with its connection.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(self))
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Use that is no request: a handshake, a connection taken from the backlog at the idle edge.
    pub(crate) fn touch(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_use.store(now, Ordering::Release);
    }

    /// When it was last used; `None` while it is in use.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.in_flight() == 0)
            .then(|| self.born + Duration::from_millis(self.last_use.load(Ordering::Acquire)))
    }
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        // Before the count falls, so that nobody sees "idle" with an old time.
        self.0.touch();
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_begins_with_the_end_of_the_last_request() {
        let activity = Arc::new(Activity::new());
        let before = activity.idle_since().unwrap();
        let (first, second) = (activity.begin(), activity.begin());
        drop(first);
        assert_eq!((activity.in_flight(), activity.idle_since()), (1, None));
        drop(second);
        assert!(activity.idle_since().unwrap() >= before);
    }
}
