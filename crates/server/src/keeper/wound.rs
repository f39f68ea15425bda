//! When what was damaged may be restored. Pure: it is told the time and what was seen.
//!
//! One damaged file is an accident and mended soon. But it may also be the first victim of an `rm -rf` on its way to the
//! lock: with 120,000 other files in the directory it removed the record 1.4 s before the lock, and a file resurrected in
//! between makes `rm` fail. The two are told apart by the number of names in the directory. A removal makes it fall, and
//! fall further; an embedder that makes and removes its files there does not, nor does an accident once it is over. So:
//!
//! * one file, and the number of names did not fall once the accident was over: after 200 ms;
//! * more files, or a number that falls: once it has not fallen for 2 s;
//! * at the latest after 20 s, before a waiting client gives up (30 s).
//!
//! What this does not see: a removal that stands still for 100 ms when it counts, or is busy further down than the number of
//! names is taken, and one that takes longer than 20 s.

use std::time::{Duration, Instant};

/// So long an accident may take: an editor that writes a file, moves it over the record and tidies up after itself.
const ACCIDENT: Duration = Duration::from_millis(100);

/// From the end of the accident to the restoration of one file.
const AFTER_ONE: Duration = Duration::from_millis(100);

/// From the last fall to the restoration of more.
const QUIET: Duration = Duration::from_secs(2);

/// How often names are counted while that is waited for.
const COUNT_AGAIN: Duration = Duration::from_millis(500);

/// From the first sight to a restoration whatever the number of names does.
const AT_THE_LATEST: Duration = Duration::from_secs(20);

/// How much is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    One,
    Several,
}

/// Damage that was seen and is not mended yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wound {
    first: Instant,
    /// When the accident was over, and the names that were left then were counted.
    settled: Option<Instant>,
    least_names: usize,
    last_fall: Instant,
    /// More than an accident.
    widespread: bool,
}

impl Wound {
    pub(super) fn new(now: Instant) -> Self {
        Self { first: now, settled: None, least_names: usize::MAX, last_fall: now, widespread: false }
    }

    /// Takes note of what a look found. `names`: how many there are, or `None` where that cannot be told; a number that is not
    /// known may be falling.
    pub(super) fn look(&mut self, extent: Extent, names: Option<usize>, now: Instant) {
        self.widespread |= extent == Extent::Several;
        if now < self.first + ACCIDENT {
            return;
        }
        let has_fallen = names.is_none_or(|names| names < self.least_names);
        if has_fallen {
            self.last_fall = now;
            self.least_names = names.unwrap_or(usize::MAX);
        }
        match self.settled {
            None => self.settled = Some(now),
            Some(_) => self.widespread |= has_fallen,
        }
    }

    /// Whether it may be mended, given the look at `now`.
    pub(super) fn may_be_mended(&self, now: Instant) -> bool {
        self.mended_at().is_some_and(|due| now >= due)
    }

    /// When the next look is due, after the one at `now`.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        self.mended_at().map_or(self.first + ACCIDENT, |due| due.min(now + COUNT_AGAIN))
    }

    fn mended_at(&self) -> Option<Instant> {
        let settled = self.settled?;
        let due = if self.widespread { self.last_fall + QUIET } else { settled + AFTER_ONE };
        Some(due.min(self.first + AT_THE_LATEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks when the wound asks for it, at what `seen` says of each moment (milliseconds after the first sight), and says
    /// when the damage was mended.
    fn mended_at(seen: impl Fn(u64) -> (Extent, Option<usize>)) -> u64 {
        let start = Instant::now();
        let mut wound = Wound::new(start);
        let mut now = start;
        for _ in 0..1000 {
            let millis = u64::try_from((now - start).as_millis()).unwrap();
            let (extent, names) = seen(millis);
            wound.look(extent, names, now);
            if wound.may_be_mended(now) {
                return millis;
            }
            let next = wound.next_look(now);
            assert!(next > now, "at {millis} ms it would look for ever");
            now = next;
        }
        panic!("never mended");
    }

    #[test]
    fn one_file_is_an_accident() {
        assert_eq!(mended_at(|_| (Extent::One, Some(7))), 200);
        assert_eq!(
            mended_at(|at| (Extent::One, Some(if at < 100 { 9 } else { 7 }))),
            200,
            "an editor tidies up"
        );
    }

    #[test]
    fn a_directory_in_use_is_no_removal() {
        assert_eq!(mended_at(|at| (Extent::One, Some(7 + usize::from(at % 200 == 0)))), 200);
        let journal = mended_at(|at| (Extent::One, Some(8 - usize::from(at % 200 == 0))));
        assert!((2000..3000).contains(&journal), "a fall at the wrong moment costs some time: {journal}");
    }

    #[test]
    fn a_removal_is_over_first() {
        let removal = |until: u64| {
            move |at: u64| (Extent::One, Some(100_000 - usize::try_from(at.min(until)).unwrap()))
        };
        assert!((3500..4500).contains(&mended_at(removal(2000))));
        assert_eq!(mended_at(removal(60_000)), 20_000, "a client waits");
        assert_eq!(mended_at(|_| (Extent::One, None)), 20_000, "what cannot be told may be a removal");
    }

    #[test]
    fn several_files_may_be_a_removal() {
        let several = mended_at(|_| (Extent::Several, Some(7)));
        assert!((2000..=2600).contains(&several), "{several}");
    }

    #[test]
    fn a_late_look_is_followed_by_another() {
        let start = Instant::now();
        let mut wound = Wound::new(start);
        let late = start + Duration::from_millis(700);
        wound.look(Extent::One, Some(7), late);
        assert!(!wound.may_be_mended(late), "there is nothing to compare with yet");
        assert_eq!(wound.next_look(late), late + AFTER_ONE);
    }
}
