//! Who is using the daemon, for the drain and for the idle time-out. Monotonic time only.

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

    /// One that was made some time ago.
    #[cfg(test)]
    pub(crate) fn of_age(age: Duration) -> Self {
        Self { born: Instant::now().checked_sub(age).unwrap(), ..Self::new() }
    }

    /// Counts a request, until [`end`](Self::end).
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// A request ended `now`.
    pub(crate) fn end(&self, now: u64) {
        // Before the count falls, so that nobody sees "idle" with an old time.
        self.last_use.store(now, Ordering::Release);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    /// Milliseconds since this was made.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Use that is no request: a handshake, a connection taken from the backlog at the idle edge.
    pub(crate) fn touch(&self) {
        self.last_use.store(self.now(), Ordering::Release);
    }

    /// When it was last used; `None` while it is in use.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.in_flight() == 0)
            .then(|| self.born + Duration::from_millis(self.last_use.load(Ordering::Acquire)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_begins_with_the_end_of_the_last_request() {
        let activity = Activity::new();
        let before = activity.idle_since().unwrap();
        activity.begin();
        activity.begin();
        activity.end(activity.now());
        assert_eq!((activity.in_flight(), activity.idle_since()), (1, None));
        activity.end(activity.now());
        assert!(activity.idle_since().unwrap() >= before);
    }
}
