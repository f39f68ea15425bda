//! What the project promises a client, as arithmetic.

use super::super::target::Check;
use crate::figures::Spread;

/// From nothing, or from a killed daemon, to the answer.
const START_MS: f64 = 5.0;
/// A warm `url` of the static build, in times of `/bin/true`.
const URL: f64 = 1.4;
/// A find with proof, in times of the bare system calls.
const FIND: f64 = 2.5;
/// From the launched daemon's death to the client's end.
const DEATH_MS: f64 = 20.0;
/// A herd that has to start the daemon, in times of one that finds it.
const HERD: f64 = 1.3;
/// So few clients are spawned in the time that a start takes: there a ratio says how long that is, and nothing of waiting.
const FEW: u32 = 50;

fn at_most(figure: f64, limit: f64, target: String) -> Check {
    Check { target, met: figure <= limit }
}

/// Microseconds.
pub(super) fn start(time: &Spread) -> Check {
    at_most(time.median, START_MS * 1e3, format!("median ≤ {START_MS}"))
}

pub(super) fn url(ratio: f64) -> Check {
    at_most(ratio, URL, format!("ratio ≤ {URL}"))
}

pub(super) fn find(ratio: f64) -> Check {
    at_most(ratio, FIND, format!("ratio ≤ {FIND}"))
}

/// Microseconds; the worst counts.
pub(super) fn death(time: &Spread) -> Check {
    at_most(time.max, DEATH_MS * 1e3, format!("max ≤ {DEATH_MS}"))
}

pub(super) fn launches(most: usize) -> Check {
    Check { target: "launches = 1".to_owned(), met: most == 1 }
}

pub(super) fn failures(counted: usize) -> Check {
    Check { target: "failures = 0".to_owned(), met: counted == 0 }
}

pub(super) fn herd(clients: u32, ratio: f64) -> Option<Check> {
    (clients > FEW).then(|| at_most(ratio, HERD, format!("ratio ≤ {HERD}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_up_to_its_limit() {
        let spread = |median, max| Spread { n: 9, min: 0.0, median, p95: max, p99: max, max };
        assert!(start(&spread(5e3, 9e3)).met && !start(&spread(5.1e3, 9e3)).met);
        assert!(death(&spread(1e3, 20e3)).met && !death(&spread(1e3, 21e3)).met);
        assert!(url(1.4).met && !url(1.41).met);
        assert!(find(2.5).met && !find(2.51).met);
    }

    #[test]
    fn a_herd_has_one_launch_no_failure_and_if_large_little_time() {
        assert!(launches(1).met && !launches(0).met && !launches(2).met);
        assert!(failures(0).met && !failures(1).met);
        assert_eq!(herd(50, 9.0), None);
        assert!(herd(200, 1.3).is_some_and(|check| check.met));
        assert!(herd(1000, 1.31).is_some_and(|check| !check.met));
    }
}
