//! Random numbers that a seed and a round's number alone decide, on every machine and in every version of this program.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn of_round(seed: u64, round: u32) -> Self {
        let mut random = Self(seed);
        // Neighbouring seeds and neighbouring rounds must have nothing in common.
        random.0 = random.next().wrapping_add(u64::from(round));
        random.0 = random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `bound`, that one left out.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // For bounds this small the remainder's bias is below one in 2^50.
        self.next() % bound.max(1)
    }

    /// So many times in a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn millis(&mut self, least: u64, below: u64) -> Duration {
        Duration::from_millis(least + self.below(below - least))
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or_default();
        choices[index]
    }

    /// One of these, each as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for (weight, choice) in choices {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *choice,
            }
        }
        choices[choices.len() - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_the_same_each_time_and_unlike_its_neighbours() {
        let numbers = |seed, round| {
            let mut random = Random::of_round(seed, round);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(7, 3), numbers(7, 3));
        assert_ne!(numbers(7, 3), numbers(7, 4));
        assert_ne!(numbers(7, 3), numbers(8, 3));
        assert_ne!(numbers(7, 3), numbers(8, 2));
    }

    #[test]
    fn a_weight_of_nothing_is_never_chosen() {
        let mut random = Random::of_round(1, 1);
        let drawn: Vec<char> = (0..1000).map(|_| random.weighted(&[(3, 'a'), (0, 'b'), (1, 'c')])).collect();
        assert!(drawn.contains(&'a') && drawn.contains(&'c') && !drawn.contains(&'b'));
    }
}
