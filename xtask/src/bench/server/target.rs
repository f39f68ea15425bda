//! What the project promises of a request, as arithmetic.

use super::super::target::Check;

/// Instructions of an echo with every layer on, in times of bare hyper's.
const INSTRUCTIONS: f64 = 1.15;
/// And how many are answered in a second.
const RATE: f64 = 0.9;

pub(super) fn instructions(ratio: f64) -> Check {
    Check { target: format!("≤ {INSTRUCTIONS} × bare"), met: ratio <= INSTRUCTIONS }
}

pub(super) fn rate(ratio: f64) -> Check {
    Check { target: format!("≥ {RATE} × bare"), met: ratio >= RATE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_up_to_its_limit() {
        assert!(instructions(1.15).met && !instructions(1.151).met);
        assert!(rate(0.9).met && !rate(0.899).met);
    }
}
