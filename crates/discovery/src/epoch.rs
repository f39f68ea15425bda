//! The epoch: a number that only grows from one owner of a state directory to the next.
//!
//! No check closes the gap between "am I still the daemon?" and the act that relies on the answer: the process may be stopped
//! between the two for an hour. What it writes to can close it, if every write carries the writer's epoch and a write with a
//! smaller one than was seen before is refused. That is a *fencing token*.
//!
//! # Where it lives
//!
//! Nowhere for long: `rm -rf` takes every file of the directory, and a successor must still draw a larger number than its
//! predecessor. So it is the largest of three:
//!
//! * the time of day in microseconds, which every successor sees and no `rm` removes;
//! * one more than the last epoch that record and exit record tell of, for a clock that was set back;
//! * one more than a floor that the embedder knows, from the very receiver that would refuse it.
//!
//! # The order
//!
//! Draw first, then ask for ownership, then use it. An owner that asked before it drew could be displaced in between, and draw
//! after its successor. In this order whoever draws next became the owner after our last look, which is after our draw; and
//! since a draw waits until the clock has passed what was drawn, the next one is larger.
//!
//! # When it can go back
//!
//! Only if all of this comes together: the clock was set back by more than has passed since the last draw (or another host
//! with a slower clock shares the directory), *and* record and exit record are gone or damaged, *and* no floor was given.
//! `docs/design/0004` says more.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A fencing token: of two owners of the same state directory the later one has the larger epoch.
///
/// In microseconds since 1970 where nothing larger was known, and below 2^53, so that every reader of JSON and every signed
/// 64-bit column keeps it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Epoch(u64);

/// A number that is no epoch.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0} is no epoch: it is not below 2^53")]
pub struct EpochError(u64);

impl Epoch {
    /// The largest: 2^53 - 1, in the year 2255.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// Draws an epoch that is larger than `above`, and returns once the clock has passed it if the clock gave it.
    pub(crate) fn draw(above: Option<Self>) -> Self {
        let least = above.map_or(1, |known| known.0.saturating_add(1).min(Self::MAX.0));
        let drawn = now().clamp(least, Self::MAX.0);
        // At most a microsecond; a clock that stands still or was set back is not waited for.
        for _ in 0..10_000 {
            if now() != drawn {
                break;
            }
            std::hint::spin_loop();
        }
        Self(drawn)
    }

    pub(crate) fn from_known(number: u64) -> Self {
        Self(number)
    }
}

/// Microseconds since 1970; zero for a clock that stands before it.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(Epoch::MAX.0)
}

impl TryFrom<u64> for Epoch {
    type Error = EpochError;

    fn try_from(number: u64) -> Result<Self, EpochError> {
        if number <= Self::MAX.0 { Ok(Self(number)) } else { Err(EpochError(number)) }
    }
}

impl From<Epoch> for u64 {
    fn from(epoch: Epoch) -> Self {
        epoch.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_draw_is_larger_than_the_last() {
        let draws: Vec<Epoch> = (0..1000).map(|_| Epoch::draw(None)).collect();
        assert!(draws.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn a_clock_that_was_set_back_is_outbid() {
        let ahead = Epoch(now() + 3_600_000_000);
        assert_eq!(Epoch::draw(Some(ahead)), Epoch(ahead.0 + 1));
        assert!(Epoch::draw(Some(Epoch(1))) > Epoch(1));
    }

    #[test]
    fn a_number_too_large_for_every_reader_is_none() {
        assert!(serde_json::from_str::<Epoch>("9007199254740991").is_ok());
        assert!(serde_json::from_str::<Epoch>("9007199254740992").is_err());
        assert_eq!(Epoch::draw(Some(Epoch::MAX)), Epoch::MAX, "the end of the numbers is no panic");
    }
}
