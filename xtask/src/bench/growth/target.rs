//! How a cost may grow, as arithmetic.

use super::super::target::Check;

/// What more of something may do to a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    Flat,
    Linear,
}

/// Above the law's own exponent by so much: what medians on a machine that does other things too differ by.
const FLAT: f64 = 0.2;
const LINEAR: f64 = 1.2;

pub(super) fn growth(law: Law, exponent: Option<f64>) -> Check {
    let (name, most) = match law {
        Law::Flat => ("flat", FLAT),
        Law::Linear => ("linear", LINEAR),
    };
    Check { target: format!("{name}: exponent ≤ {most}"), met: exponent.is_some_and(|found| found <= most) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_is_kept_up_to_its_limit_and_never_unmeasured() {
        assert!(growth(Law::Flat, Some(0.2)).met && !growth(Law::Flat, Some(0.21)).met);
        assert!(growth(Law::Linear, Some(1.2)).met && !growth(Law::Linear, Some(1.21)).met);
        assert!(!growth(Law::Linear, None).met);
    }
}
