//! When what was damaged may be restored. Pure: it is told the time and what was seen.
//!
//! One damaged file is an accident and mended soon. But it may also be the first victim of an `rm -rf` on its way to the
//! lock: with 120,000 other files in the directory it removed the record 1.4 s before the lock, and a file resurrected in
//! between makes `rm` fail. The two are told apart by the directory. An accident is over in a moment; a removal goes on, and
//! each step of it changes the directory. So:
//!
//! * one file, and the directory did not change again once the moment was over: after 200 ms;
//! * more files, or a directory that goes on changing: once it has been quiet for 2 s;
//! * in a directory that is never quiet: after a minute, when it can be taken for somebody's habit.

use std::time::{Duration, Instant};

/// So long an accident may take: an editor that writes a file, moves it over the record and tidies up after itself.
const ACCIDENT: Duration = Duration::from_millis(100);

/// From the first sight of one damaged file to its restoration.
const AFTER_ONE: Duration = Duration::from_millis(200);

/// From the last change in the directory to the restoration of more.
const QUIET: Duration = Duration::from_secs(2);

/// From the first sight to a restoration in a directory that is never quiet.
const AT_THE_LATEST: Duration = Duration::from_mins(1);

/// How much is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    One,
    Several,
}

/// Damage that was seen and is not mended yet. `S` is what the directory looked like: the time of its last change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wound<S> {
    first: Instant,
    stamp: S,
    last_change: Instant,
    /// More than an accident.
    widespread: bool,
}

impl<S: PartialEq> Wound<S> {
    pub(super) fn new(extent: Extent, stamp: S, now: Instant) -> Self {
        Self { first: now, stamp, last_change: now, widespread: extent == Extent::Several }
    }

    /// What a further look found.
    pub(super) fn look(&mut self, extent: Extent, stamp: S, now: Instant) {
        self.widespread |= extent == Extent::Several;
        if stamp != self.stamp {
            self.stamp = stamp;
            self.last_change = now;
            self.widespread |= now >= self.first + ACCIDENT;
        }
    }

    /// Whether it may be mended, given the look at `now`.
    pub(super) fn may_be_mended(&self, now: Instant) -> bool {
        now >= self.mended_at()
    }

    /// When the next look is due, after the one at `now`.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        // One look at the end of the accident, so that the last one has something to compare with.
        let accident = self.first + ACCIDENT;
        if now < accident { accident } else { self.mended_at() }
    }

    fn mended_at(&self) -> Instant {
        let due = if self.widespread { self.last_change + QUIET } else { self.first + AFTER_ONE };
        due.min(self.first + AT_THE_LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these times (milliseconds after the first, with what the directory looked like) and says at which of them
    /// the damage was mended.
    fn mended_at(extent: Extent, looks: &[(u64, u32)]) -> Option<u64> {
        let start = Instant::now();
        let mut wound = Wound::new(extent, 0, start);
        let at = |millis| start + Duration::from_millis(millis);
        let mended = looks.iter().find(|(millis, stamp)| {
            wound.look(extent, *stamp, at(*millis));
            wound.may_be_mended(at(*millis))
        });
        mended.map(|(millis, _)| *millis)
    }

    #[test]
    fn one_file_is_an_accident() {
        assert_eq!(mended_at(Extent::One, &[(100, 0), (199, 0), (200, 0)]), Some(200));
        assert_eq!(
            mended_at(Extent::One, &[(1, 1), (5, 2), (99, 3), (100, 3), (200, 3)]),
            Some(200),
            "an editor"
        );
    }

    #[test]
    fn a_directory_that_goes_on_changing_must_come_to_rest_first() {
        assert_eq!(mended_at(Extent::One, &[(100, 1), (200, 1), (2099, 1), (2100, 1)]), Some(2100));
        assert_eq!(mended_at(Extent::One, &[(100, 0), (200, 1), (2199, 1), (2200, 1)]), Some(2200));
        let restless: Vec<(u64, u32)> = (1..=70).map(|second| (u64::from(second) * 1000, second)).collect();
        assert_eq!(mended_at(Extent::One, &restless), Some(60_000), "for ever would be too long");
    }

    #[test]
    fn several_files_may_be_a_removal() {
        assert_eq!(mended_at(Extent::Several, &[(100, 0), (200, 0), (1999, 0), (2000, 0)]), Some(2000));
        assert_eq!(mended_at(Extent::Several, &[(1500, 1), (3499, 1), (3500, 1)]), Some(3500));
    }

    #[test]
    fn the_next_look_is_at_the_end_of_the_accident_and_then_when_it_is_due() {
        let start = Instant::now();
        let mut wound = Wound::new(Extent::One, 0, start);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(wound.next_look(at(0)), at(100));
        wound.look(Extent::One, 0, at(100));
        assert_eq!(wound.next_look(at(100)), at(200));
        wound.look(Extent::One, 1, at(150));
        assert_eq!(wound.next_look(at(150)), at(2150));
    }
}
