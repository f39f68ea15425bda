//! One deadline, made where a command begins and handed down to every wait in it.

use std::time::{Duration, Instant};

/// A point in monotonic time by which something has to have happened.
///
/// Time in suspend does not count on Linux (`CLOCK_MONOTONIC`, `clock_gettime(2)`), so a laptop that slept through a wait
/// does not wake up to an expired one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    began: Instant,
    at: Instant,
}

/// As good as never, and still safe to add to any instant.
const FAR: Duration = Duration::from_hours(24 * 365);

impl Deadline {
    /// A deadline `patience` from now.
    pub fn after(patience: Duration) -> Self {
        let began = Instant::now();
        Self { began, at: began + patience.min(FAR) }
    }

    /// How long there is still; `None` once it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.remaining().is_none()
    }

    /// How long ago the wait began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The earlier of this deadline and one `patience` from now; `began` stays where it was.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self { began: self.began, at: self.at.min(Instant::now() + patience.min(FAR)) }
    }

    /// The moment itself.
    pub fn instant(&self) -> Instant {
        self.at
    }

    /// Sleeps for `pause`, or until the deadline if that is sooner.
    pub fn pause(&self, pause: Duration) {
        if let Some(left) = self.remaining() {
            std::thread::sleep(pause.min(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_never_lengthens() {
        let short = Deadline::after(Duration::from_millis(5));
        assert_eq!(short.within(Duration::from_mins(1)), short);
        assert!(Deadline::after(Duration::from_mins(1)).within(Duration::ZERO).passed());
    }

    #[test]
    fn the_longest_patience_does_not_overflow() {
        assert!(!Deadline::after(Duration::MAX).passed());
    }
}
