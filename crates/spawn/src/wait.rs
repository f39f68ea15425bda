//! Waiting for what only other processes can change: a pause that grows, so that a thousand waiters cost no busy loop.

use std::time::Duration;

use aileron_discovery::Deadline;

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(25);

/// Pauses that grow from 1 ms to 25 ms, each a little different from the neighbours' so that they do not march in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    seed: u64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST, seed: u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    /// Pauses, but not beyond the deadline.
    pub(crate) fn pause(&mut self, deadline: &Deadline) {
        deadline.pause(self.step());
    }

    fn step(&mut self) -> Duration {
        // xorshift64 (Marsaglia 2003): enough to keep waiters apart.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let percent = u32::try_from(75 + self.seed % 50).unwrap_or(100);
        let pause = self.next * percent / 100;
        self.next = (self.next * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_cap() {
        let mut backoff = Backoff::new();
        assert!(backoff.step() < 2 * FIRST);
        let later: Vec<_> = (0..10).map(|_| backoff.step()).collect();
        assert!(later[9] > LONGEST / 2 && later.iter().all(|pause| *pause < LONGEST * 5 / 4), "{later:?}");
    }
}
