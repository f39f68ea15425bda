//! What the project promises of its size, as arithmetic.

use super::super::target::Check;

/// The static binary, with everything in.
const BYTES: u64 = 3_500_000;
/// A warm `url` of the static build, in times of a bare process that reads the record and connects.
const URL: f64 = 1.3;

pub(super) fn bytes(counted: u64) -> Check {
    Check { target: "≤ 3.5 MB".to_owned(), met: counted <= BYTES }
}

pub(super) fn url(ratio: f64) -> Check {
    Check { target: format!("ratio ≤ {URL}"), met: ratio <= URL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_up_to_its_limit() {
        assert!(bytes(3_500_000).met && !bytes(3_500_001).met);
        assert!(url(1.3).met && !url(1.31).met);
    }
}
