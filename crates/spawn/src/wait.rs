//! Waiting for what only other processes can change: a pause that grows, so that a thousand waiters cost no busy loop.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use aileron_discovery::{Deadline, StateDir, StateFile};

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(25);

/// How long the same record is believed to mean the same: a daemon that was stopped goes on without writing a word.
const SAME: Duration = Duration::from_millis(50);

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
        // By half and not by twice: who comes to wait just after the start of a start is not to outsleep it by as much again.
        self.next = (self.next * 3 / 2).min(LONGEST);
        pause
    }
}

/// Whether a look could find anything, for the price of one `lstat(2)`.
///
/// A record is written beside its place and renamed into it, so that another one is another file: its time of change, in
/// nanoseconds, and its length tell them apart. They only say when to look; what the look finds is proved as ever.
#[derive(Debug)]
pub(crate) struct RecordWatch {
    path: PathBuf,
    seen: Option<(Record, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Absent,
    Present {
        changed: Option<SystemTime>,
        length: u64,
    },
    /// The look is to say why.
    Unknown,
}

impl RecordWatch {
    pub(crate) fn new(state_dir: &StateDir) -> Self {
        Self { path: state_dir.path(StateFile::Record), seen: None }
    }

    /// Where there is no record there is nobody to be found. The first one there is, and each other one since, is worth a
    /// look; the same one is every now and then.
    pub(crate) fn is_worth_a_look(&mut self) -> bool {
        let (record, now) = (self.record(), Instant::now());
        let is_news = match self.seen {
            _ if record == Record::Absent => false,
            Some((seen, at)) => seen != record || now.duration_since(at) >= SAME,
            None => true,
        };
        if is_news || record == Record::Absent {
            self.seen = Some((record, now));
        }
        is_news
    }

    fn record(&self) -> Record {
        match self.path.symlink_metadata() {
            Ok(found) => Record::Present { changed: found.modified().ok(), length: found.len() },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::Absent,
            Err(_) => Record::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_cap() {
        let mut backoff = Backoff::new();
        assert!(backoff.step() < 2 * FIRST);
        let later: Vec<_> = (0..20).map(|_| backoff.step()).collect();
        assert!(later[19] > LONGEST / 2 && later.iter().all(|pause| *pause < LONGEST * 5 / 4), "{later:?}");
    }

    #[test]
    fn only_a_record_that_is_new_or_old_is_worth_a_look() {
        let temp = tempfile::tempdir().unwrap();
        let tool = aileron_discovery::Tool::new("aileron", "0.0.0");
        let dir = StateDir::resolve(&tool, Some(&temp.path().join("state"))).unwrap();
        let mut watch = RecordWatch::new(&dir);
        assert!(!watch.is_worth_a_look(), "no directory, no record");
        dir.create().unwrap();
        assert!(!watch.is_worth_a_look(), "no record");
        let path = dir.path(StateFile::Record);
        std::fs::write(&path, "one").unwrap();
        assert!(watch.is_worth_a_look(), "the first");
        let looked = Instant::now();
        let again = watch.is_worth_a_look();
        assert!(!again || looked.elapsed() >= SAME, "the same, at once");
        std::fs::write(&path, "another").unwrap();
        assert!(watch.is_worth_a_look(), "another");
        let begun = Instant::now();
        while !watch.is_worth_a_look() {
            assert!(begun.elapsed() < 10 * SAME, "the same, after a while");
            std::thread::yield_now();
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!watch.is_worth_a_look(), "gone");
        std::fs::write(&path, "another").unwrap();
        assert!(watch.is_worth_a_look(), "back");
    }
}
