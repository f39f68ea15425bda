//! What the project promises of an idle daemon, as arithmetic.

use super::super::target::Check;

/// A megabyte is a million bytes here, and procfs counts in 1,024.
const RESIDENT_MB: f64 = 3.0;
const ANONYMOUS_MB: f64 = 0.8;

fn megabytes(kb: u64) -> f64 {
    f64::from(u32::try_from(kb).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}

pub(super) fn resident(kb: u64) -> Check {
    Check { target: format!("resident ≤ {RESIDENT_MB} MB"), met: megabytes(kb) <= RESIDENT_MB }
}

pub(super) fn anonymous(kb: u64) -> Check {
    Check { target: format!("anonymous ≤ {ANONYMOUS_MB} MB"), met: megabytes(kb) <= ANONYMOUS_MB }
}

/// One for each look that is due, and one more where the time begins just before a look.
pub(super) fn wake_ups(counted: u64, seconds: f64, interval_ms: f64) -> Check {
    let looks = (seconds * 1e3 / interval_ms).floor() + 1.0;
    let met = f64::from(u32::try_from(counted).unwrap_or(u32::MAX)) <= looks;
    Check { target: format!("wake-ups ≤ {looks:.0}"), met }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_is_a_million_bytes() {
        assert!(resident(2929).met && !resident(2930).met);
        assert!(anonymous(781).met && !anonymous(782).met);
    }

    #[test]
    fn a_wake_up_is_allowed_for_each_look() {
        assert!(wake_ups(13, 60.1, 5000.0).met && !wake_ups(14, 60.1, 5000.0).met);
        assert!(wake_ups(0, 10.0, 5000.0).met);
    }
}
