//! Am I still the daemon? Three answers, and the rule that only proof ends a reign.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sys::{self, AskedPath};
use crate::{Epoch, FileId};

/// How long after a first look that found nothing at the path, the held inode still linked, the second one decides.
///
/// Long enough that `mv dir elsewhere && mv elsewhere dir` by a tool is one glitch and not two daemons; short enough that
/// nobody waits for it.
pub const SECOND_LOOK: Duration = Duration::from_millis(100);

/// The answer to "am I still the daemon?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The held file stands at the path.
    Owner,
    /// Nothing stands at the path, but the held inode still has a link: it may be on its way back. Nothing is decided,
    /// and nothing may be acted on.
    Suspect,
    /// Proved, and final: it never returns to one of the others.
    Displaced(Displacement),
}

/// Which inode became which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Displacement {
    /// The held file.
    pub held: FileId,
    /// What stood at the path when the loss was proved; `None` is nothing.
    pub at_path: Option<FileId>,
}

impl std::fmt::Display for Displacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at_path {
            Some(other) => write!(f, "held lock inode {} became {other} at the path", self.held),
            None => write!(f, "held lock inode {} became nothing at the path", self.held),
        }
    }
}

/// What one look at the held file and the path found.
#[derive(Debug)]
pub enum Look {
    /// The held file stands at the path.
    Same,
    /// Another file stands there.
    Other(FileId),
    /// Nothing stands there (`ENOENT`, `ENOTDIR`), or nothing of ours can: the held file has lost its last link.
    Nothing {
        /// `st_nlink` of the held file; `None` where even that cannot be told, as through a file system in user space whose
        /// server has lost the file. Absence is proved all the same, and then takes a second look.
        links: Option<u64>,
    },
    /// It could not be told: `EACCES`, `EIO`, `EMFILE`, `ESTALE`, `ELOOP`, …
    Unknown(io::Error),
}

/// The right to ask; cheap to clone and to hand to anything that acts on the daemon's behalf.
///
/// [`verify`](Self::verify) is one system call, `lstat(2)` of the path, with no lock and no allocation: the identity of the
/// held file cannot change while it is open, so only the path needs asking. Where nothing stands there, an `fstat(2)` tells
/// whether the held file has a link left.
///
/// # Hazard
///
/// Between an answer and the act that relies on it there is a gap that no check can close. What must never be done twice
/// needs a receiver that refuses a stale writer: give it the epoch of [`fencing_token`](Self::fencing_token) with each write.
#[derive(Clone, Debug)]
pub struct Ownership(Arc<Held>);

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) file: File,
    pub(crate) id: FileId,
    path: PathBuf,
    asked: AskedPath,
    born: Instant,
    /// Nanoseconds after `born`, plus one, of the first of the looks that found nothing; zero while the last found us.
    suspect_since: AtomicU64,
    displaced: OnceLock<Displacement>,
    released: AtomicBool,
    /// Whether its links were counted when it was acquired.
    had_links: bool,
    /// Zero until one was drawn.
    epoch: AtomicU64,
}

/// This process is not, or not for certain, the owner any more: nothing may be acted upon.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not the owner of `{path}` any more")]
pub struct NotOwner {
    /// The lock file.
    pub path: PathBuf,
    /// What is known: displaced for good; or suspect, which here includes that it could not be told.
    pub verdict: Verdict,
}

impl Held {
    pub(crate) fn new(file: File, id: FileId, path: PathBuf) -> io::Result<Self> {
        let asked = AskedPath::new(&path)?;
        let had_links = sys::held_facts(&file)?.links > 0;
        Ok(Self {
            had_links,
            file,
            id,
            path,
            asked,
            born: Instant::now(),
            suspect_since: AtomicU64::new(0),
            displaced: OnceLock::new(),
            released: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
        })
    }

    /// Frees the lock before the descriptor closes: closing alone leaves it held for as long as a child of another thread
    /// is between `fork` and `exec` with a copy of the descriptor (seen 868 times in 2,591 spawns, for up to 6.6 ms).
    pub(crate) fn release(&self) -> io::Result<()> {
        self.released.store(true, Ordering::Release);
        sys::unlock(&self.file)
    }
}

impl Ownership {
    pub(crate) fn new(held: Arc<Held>) -> Self {
        Self(held)
    }

    pub(crate) fn held(&self) -> &Held {
        &self.0
    }

    /// The identity of the held lock file.
    pub fn lock_id(&self) -> FileId {
        self.0.id
    }

    /// The absolute path it has to stand at.
    pub fn lock_path(&self) -> &Path {
        &self.0.path
    }

    /// The epoch under which this process is, or last was, the owner; see [`Epoch`].
    pub fn epoch(&self) -> Epoch {
        Epoch::from_known(self.0.epoch.load(Ordering::Acquire))
    }

    /// Asks for ownership, and gives the epoch to send with what is written under it.
    ///
    /// The epoch is read first: one that was drawn since belongs to a later answer.
    ///
    /// # Errors
    ///
    /// [`NotOwner`]: act on nothing.
    pub fn fencing_token(&self) -> Result<Epoch, NotOwner> {
        let epoch = self.epoch();
        match self.verify() {
            Verdict::Owner => Ok(epoch),
            verdict => Err(NotOwner { path: self.0.path.clone(), verdict }),
        }
    }

    /// Takes an epoch that was drawn before the last look said "owner".
    pub(crate) fn advance_epoch(&self, drawn: Epoch) {
        self.0.epoch.fetch_max(drawn.get(), Ordering::AcqRel);
    }

    /// When a second look will be one: [`SECOND_LOOK`] after the first that found nothing; `None` while nobody is suspect.
    pub fn second_look_due(&self) -> Option<Instant> {
        let since = self.0.suspect_since.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.0.born + Duration::from_nanos(since) + SECOND_LOOK)
    }

    /// One look, without judging it.
    pub fn look(&self) -> Look {
        let held = &self.0;
        match held.asked.identity() {
            Ok(id) if id == held.id => Look::Same,
            Ok(other) => Look::Other(other),
            Err(error) if sys::proves_absence(&error) => {
                Look::Nothing { links: sys::held_facts(&held.file).ok().map(|facts| facts.links) }
            }
            // A file without a link stands at no path, whatever keeps us from looking.
            Err(_) if self.has_lost_its_last_link() => Look::Nothing { links: Some(0) },
            Err(error) => Look::Unknown(error),
        }
    }

    /// Some file systems in user space never count links: there the number proves nothing.
    fn has_lost_its_last_link(&self) -> bool {
        self.0.had_links && sys::held_facts(&self.0.file).is_ok_and(|facts| facts.links == 0)
    }

    /// Am I still the daemon?
    pub fn verify(&self) -> Verdict {
        self.verify_noting(|_| {})
    }

    /// The same, telling `doubt` of an error that proved nothing (so that one caller may log it).
    pub fn verify_noting(&self, doubt: impl FnOnce(&io::Error)) -> Verdict {
        if let Some(displacement) = self.0.displaced.get() {
            return Verdict::Displaced(*displacement);
        }
        if self.0.released.load(Ordering::Acquire) {
            return Verdict::Suspect;
        }
        // The time *before* the look: a thread that is stopped between the two must not make an old look a late one.
        let now = self.0.born.elapsed();
        self.judge(self.look(), now, doubt)
    }

    /// What a look at `now` (time since the lock was acquired) means. Any thread may ask at any time: the only memory is
    /// when nothing was first found, which every look agrees on, and the final proof, which is set once.
    fn judge(&self, look: Look, now: Duration, doubt: impl FnOnce(&io::Error)) -> Verdict {
        let suspect_since = &self.0.suspect_since;
        match look {
            Look::Same if suspect_since.load(Ordering::Acquire) == 0 => Verdict::Owner,
            Look::Same => self.return_to_path(),
            Look::Other(other) => self.displaced(Some(other)),
            Look::Nothing { links: Some(0) } => self.displaced(None),
            Look::Nothing { .. } => {
                // In 64 bits for five centuries.
                let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX - 1);
                let first = suspect_since.compare_exchange(0, nanos + 1, Ordering::AcqRel, Ordering::Acquire);
                match first {
                    Err(since) if now >= Duration::from_nanos(since - 1) + SECOND_LOOK => {
                        self.displaced(None)
                    }
                    _ => Verdict::Suspect,
                }
            }
            Look::Unknown(error) => {
                doubt(&error);
                if suspect_since.load(Ordering::Acquire) == 0 { Verdict::Owner } else { Verdict::Suspect }
            }
        }
    }

    /// The lock was away and is back. A successor may have been the owner meanwhile, with a larger epoch than ours, so this is
    /// a new term: nobody is told "owner" before it has begun.
    fn return_to_path(&self) -> Verdict {
        let drawn = Epoch::draw(Some(self.epoch()));
        // Drawn first, asked after: see `epoch`. Away again is for the next look to judge.
        if !matches!(self.look(), Look::Same) {
            return Verdict::Suspect;
        }
        self.advance_epoch(drawn);
        self.0.suspect_since.store(0, Ordering::Release);
        Verdict::Owner
    }

    /// Whether this is the owner beyond doubt: what is new may be granted on proof only, where doubt leaves the last answer in
    /// force for what is old.
    pub(crate) fn prove(&self) -> Result<(), NotOwner> {
        let mut in_doubt = false;
        let verdict = match self.verify_noting(|_| in_doubt = true) {
            Verdict::Owner if in_doubt => Verdict::Suspect,
            verdict => verdict,
        };
        if verdict == Verdict::Owner {
            return Ok(());
        }
        Err(NotOwner { path: self.0.path.clone(), verdict })
    }

    fn displaced(&self, at_path: Option<FileId>) -> Verdict {
        Verdict::Displaced(*self.0.displaced.get_or_init(|| Displacement { held: self.0.id, at_path }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ownership() -> (tempfile::TempDir, Ownership) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        let file = File::create_new(&path).unwrap();
        let id = sys::held_facts(&file).unwrap().id;
        (dir, Ownership::new(Arc::new(Held::new(file, id, path).unwrap())))
    }

    const OTHER: FileId = FileId { dev: 1, ino: 2 };
    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn another_file_or_no_link_is_proof_at_once_and_final() {
        for (look, at_path) in [(Look::Other(OTHER), Some(OTHER)), (Look::Nothing { links: Some(0) }, None)] {
            let (_dir, me) = ownership();
            let lost = Verdict::Displaced(Displacement { held: me.lock_id(), at_path });
            assert_eq!(me.judge(look, at(0), |_| {}), lost);
            assert_eq!(me.verify(), lost, "the file stands at the path again, and it is too late");
        }
    }

    #[test]
    fn a_link_left_takes_a_second_look() {
        let (_dir, me) = ownership();
        let gone = |links| Look::Nothing { links };
        assert_eq!(me.judge(gone(Some(1)), at(5), |_| {}), Verdict::Suspect);
        assert_eq!(me.judge(gone(None), at(104), |_| {}), Verdict::Suspect);
        assert_eq!(me.judge(Look::Same, at(104), |_| {}), Verdict::Owner, "it came back");
        assert_eq!(me.judge(gone(Some(1)), at(110), |_| {}), Verdict::Suspect, "and the count begins anew");
        assert!(matches!(me.judge(gone(None), at(210), |_| {}), Verdict::Displaced(_)));
    }

    #[test]
    fn who_comes_back_has_a_larger_epoch() {
        let (_dir, me) = ownership();
        let first = Epoch::draw(None);
        me.advance_epoch(first);
        assert_eq!(me.judge(Look::Same, at(1), |_| {}), Verdict::Owner);
        assert_eq!(me.epoch(), first, "who never was away keeps it");
        me.judge(Look::Nothing { links: Some(1) }, at(2), |_| {});
        assert_eq!(me.judge(Look::Same, at(3), |_| {}), Verdict::Owner);
        assert!(me.epoch() > first);
    }

    #[test]
    fn doubt_leaves_the_last_answer_in_force() {
        let (_dir, me) = ownership();
        let doubt = || Look::Unknown(io::Error::from(io::ErrorKind::PermissionDenied));
        let mut told = 0;
        assert_eq!(me.judge(doubt(), at(0), |_| told += 1), Verdict::Owner);
        assert_eq!(me.judge(Look::Nothing { links: Some(1) }, at(1), |_| {}), Verdict::Suspect);
        assert_eq!(
            me.judge(doubt(), at(500), |_| told += 1),
            Verdict::Suspect,
            "doubt is no second look either"
        );
        assert_eq!(told, 2);
    }

    #[test]
    fn real_files_give_the_looks() {
        let (dir, me) = ownership();
        let path = me.lock_path().to_owned();
        assert_eq!(me.verify(), Verdict::Owner);
        std::fs::rename(&path, dir.path().join("aside")).unwrap();
        assert!(matches!(me.look(), Look::Nothing { links: Some(1) }));
        std::fs::rename(dir.path().join("aside"), &path).unwrap();
        assert_eq!(me.verify(), Verdict::Owner);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(me.look(), Look::Nothing { links: Some(0) }));
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(me.look(), Look::Other(_)));
    }
}
