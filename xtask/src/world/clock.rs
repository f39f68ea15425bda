//! Time in a scenario: milliseconds since its round began, the same scale for what the observer saw and for what a log
//! line claims.

use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// The moment a round began, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    instant: Instant,
    wall: SystemTime,
}

impl Epoch {
    pub(crate) fn begin() -> Self {
        Self { instant: Instant::now(), wall: SystemTime::now() }
    }

    pub(crate) fn now_ms(&self) -> f64 {
        self.ms_at(Instant::now())
    }

    pub(crate) fn ms_at(&self, instant: Instant) -> f64 {
        millis(instant.saturating_duration_since(self.instant))
    }

    /// Where a wall-clock time falls; before the round began it is negative.
    pub(crate) fn ms_at_wall(&self, time: SystemTime) -> f64 {
        match time.duration_since(self.wall) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        }
    }
}

/// One moment on every clock that somebody tells the time by here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    /// A log's.
    pub(crate) wall: SystemTime,
    /// Another process's `CLOCK_MONOTONIC`.
    pub(crate) monotonic: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { instant: Instant::now(), wall: SystemTime::now(), monotonic: monotonic() }
    }
}

/// `clock_gettime(2)` with `CLOCK_MONOTONIC`: the same scale in every process.
pub(crate) fn monotonic() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(tv_sec), u32::try_from(tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// A moment by which something must have happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// What is left of it; nothing once it has passed.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
