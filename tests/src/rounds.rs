//! Many rounds of one story, each with its own luck, and each to be had again.
//!
//! `AILERON_TEST_ROUNDS` says how many, so that a suite runs few and a closing run many. What is left to chance in a round
//! follows from the seed and the round's number alone; a failure prints both, and `AILERON_TEST_SEED` with
//! `AILERON_TEST_ROUND` plays that round and no other.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many rounds to play: `AILERON_TEST_ROUNDS`, else `default`.
pub fn rounds(default: u32) -> u32 {
    number("AILERON_TEST_ROUNDS").map_or(default, |count| u32::try_from(count).expect("a number of rounds"))
}

/// Plays [`rounds`]`(default)` rounds.
pub fn each_round(default: u32, mut play: impl FnMut(&mut Round)) {
    let seed = number("AILERON_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
        u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(20)
    });
    match number("AILERON_TEST_ROUND") {
        Some(only) => play(&mut Round::new(seed, u32::try_from(only).expect("a round"))),
        None => (0..rounds(default)).for_each(|number| play(&mut Round::new(seed, number))),
    }
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// One round; when it fails it prints how to repeat it.
#[derive(Debug)]
pub struct Round {
    seed: u64,
    number: u32,
    state: u64,
    told: Vec<String>,
}

impl Round {
    fn new(seed: u64, number: u32) -> Self {
        let state = seed ^ u64::from(number).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Self { seed, number, state, told: Vec::new() }
    }

    /// Which round this is, from 0.
    pub fn number(&self) -> usize {
        self.number as usize
    }

    /// Remembers what was chosen, for the message of a failure.
    pub fn tell(&mut self, what: impl Display) {
        self.told.push(what.to_string());
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("a small number")]
    }

    /// A moment within this time.
    pub fn within(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).expect("a short time").max(1)))
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): good enough for tests, and no dependency.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Drop for Round {
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, number, told) = (self.seed, self.number, self.told.join(", "));
            eprintln!("round {number} ({told}); again: AILERON_TEST_SEED={seed} AILERON_TEST_ROUND={number}");
        }
    }
}
