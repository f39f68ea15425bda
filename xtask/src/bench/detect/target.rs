//! What the project promises of these figures, as arithmetic.

use super::super::target::Check;
use crate::figures::Spread;

/// How many times the bare reader's time a verdict may take.
const RATIO: f64 = 3.0;
/// From the loss to the process gone.
const GONE_MEDIAN_MS: f64 = 5.0;
const GONE_P99_MS: f64 = 50.0;
/// Without file events, beyond one interval.
const POLLED_MS: f64 = 150.0;
/// The second look, where the held inode keeps a name.
pub(super) const SECOND_LOOK_MS: f64 = 100.0;
/// A request may pay this much for the fence.
const FENCE_NS: f64 = 5000.0;
/// The keeper and the runtime's.
const THREADS: usize = 2;

/// How a verdict compares with the bare reader's, what is spent on a second look by design left out. Microseconds.
pub(super) fn ratio(verdict: &Spread, reader: &Spread, by_design_ms: f64) -> f64 {
    (verdict.median - by_design_ms * 1e3) / reader.median
}

pub(super) fn verdict(ratio: f64) -> Check {
    Check { target: format!("median ≤ {RATIO} × reader"), met: ratio <= RATIO }
}

/// Microseconds.
pub(super) fn gone(gone: &Spread, by_design_ms: f64) -> Check {
    let (median, p99) = (GONE_MEDIAN_MS + by_design_ms, GONE_P99_MS + by_design_ms);
    Check {
        target: format!("median ≤ {median}, p99 ≤ {p99}"),
        met: gone.median <= median * 1e3 && gone.p99 <= p99 * 1e3,
    }
}

/// Without file events: the worst, in microseconds, against the interval.
pub(super) fn polled(gone: &Spread, interval_ms: f64, by_design_ms: f64) -> Check {
    let beyond = POLLED_MS + by_design_ms;
    let target = format!("max ≤ {interval_ms} + {beyond}");
    Check { target, met: gone.max <= (interval_ms + beyond) * 1e3 }
}

/// Nanoseconds.
pub(super) fn fence(median: f64) -> Check {
    Check { target: format!("median ≤ {FENCE_NS}"), met: median <= FENCE_NS }
}

/// How often an idle daemon may wake in that time: each look is at least an interval after the one before it.
pub(super) fn looks(seconds: f64, interval_ms: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small, positive number")]
    let looks = (seconds * 1e3 / interval_ms).ceil() as u64;
    looks
}

pub(super) fn wake_ups(counted: u64, allowed: u64) -> Check {
    Check { target: format!("wake-ups ≤ {allowed}"), met: counted <= allowed }
}

pub(super) fn threads(counted: usize) -> Check {
    Check { target: format!("threads = {THREADS}"), met: counted == THREADS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64, p99: f64, max: f64) -> Spread {
        Spread { n: 200, min: 0.0, median, p95: p99, p99, max }
    }

    #[test]
    fn a_verdict_is_held_against_the_reader_less_the_second_look() {
        let reader = spread(50.0, 90.0, 90.0);
        assert!((ratio(&spread(150.0, 200.0, 200.0), &reader, 0.0) - 3.0).abs() < 1e-9);
        assert!((ratio(&spread(100_150.0, 200.0, 200.0), &reader, SECOND_LOOK_MS) - 3.0).abs() < 1e-9);
        assert!(verdict(3.0).met && !verdict(3.01).met);
    }

    #[test]
    fn an_end_is_held_against_median_and_worst_hundredth() {
        assert!(gone(&spread(5e3, 50e3, 60e3), 0.0).met);
        assert!(!gone(&spread(5.1e3, 50e3, 60e3), 0.0).met);
        assert!(!gone(&spread(5e3, 51e3, 60e3), 0.0).met);
        assert!(gone(&spread(104e3, 149e3, 160e3), SECOND_LOOK_MS).met);
        assert_eq!(gone(&spread(0.0, 0.0, 0.0), SECOND_LOOK_MS).target, "median ≤ 105, p99 ≤ 150");
    }

    #[test]
    fn without_events_the_worst_counts() {
        assert!(polled(&spread(0.0, 0.0, 350e3), 200.0, 0.0).met);
        assert!(!polled(&spread(0.0, 0.0, 351e3), 200.0, 0.0).met);
        assert!(polled(&spread(0.0, 0.0, 449e3), 200.0, SECOND_LOOK_MS).met);
    }

    #[test]
    fn an_idle_daemon_may_look_once_per_interval() {
        assert_eq!(looks(60.0, 5000.0), 12);
        assert_eq!(looks(11.0, 5000.0), 3);
        assert!(wake_ups(12, 12).met && !wake_ups(13, 12).met);
        assert!(threads(2).met && !threads(1).met && !threads(3).met);
        assert!(fence(4999.0).met && !fence(5001.0).met);
    }
}
