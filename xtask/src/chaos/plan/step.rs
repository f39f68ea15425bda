//! One client: which program, with which command, and whether it is killed.

use std::fmt;
use std::time::Duration;

use super::Kind;
use crate::chaos::random::Random;

/// One run of a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) struct Step {
    pub(in crate::chaos) after: Duration,
    pub(in crate::chaos) what: What,
    pub(in crate::chaos) by: By,
    pub(in crate::chaos) killed_after: Option<Duration>,
}

/// What a client is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum What {
    Url,
    Start,
    Status,
    Stop,
    ForcedStop,
    /// A stop after which nothing starts, until somebody says `start` or `restart`.
    HoldingStop,
    Restart,
    /// An increment, over which the daemon sleeps for so long before it acts.
    Add(Duration),
}

/// Which program, and how it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum By {
    /// The release binary. Its daemon has no journal.
    Aileron,
    /// The same command line with the journal service.
    Journal,
    /// The journal as another version. It knows `add` alone.
    Version(&'static str),
    /// The journal with that system call failing or lying, for whatever it starts as well.
    Faulty(&'static str),
    /// The journal in a time namespace whose clocks since boot are so many seconds ahead.
    Elsewhen(u32),
}

/// A client's steps, one after the other.
pub(super) fn sequence(kind: Kind, random: &mut Random) -> Vec<Step> {
    (0..=random.below(3)).map(|_| Step::of(kind, random)).collect()
}

impl Step {
    fn of(kind: Kind, random: &mut Random) -> Self {
        let mut what = What::of(kind, random);
        let by = By::of(kind, what, random);
        if matches!(by, By::Version(_)) {
            what = What::Add(Duration::ZERO);
        }
        // Later where a record has to be forged before somebody is to be stopped by it.
        let after = if kind.has_decoys() { random.millis(20, 120) } else { random.millis(0, 40) };
        let killed = kind == Kind::Signals && random.chance(25);
        Self { after, what, by, killed_after: killed.then(|| random.millis(0, 30)) }
    }

    /// Whether it leaves a trace in the journal.
    pub(in crate::chaos) fn adds(&self) -> bool {
        matches!(self.what, What::Add(_))
    }
}

impl What {
    fn of(kind: Kind, random: &mut Random) -> Self {
        // Where daemons are killed, mostly in the middle of something.
        let slow = if kind == Kind::Signals { 80 } else { 30 };
        let pause = if random.chance(slow) { random.millis(1, 60) } else { Duration::ZERO };
        if kind == Kind::Held {
            return random.weighted(&[
                (4, Self::Url),
                (4, Self::Add(pause)),
                (5, Self::HoldingStop),
                (2, Self::Start),
                (1, Self::Restart),
                (1, Self::Status),
                (1, Self::Stop),
            ]);
        }
        if kind.has_decoys() {
            return random.weighted(&[
                (4, Self::ForcedStop),
                (2, Self::Stop),
                (1, Self::Restart),
                (1, Self::Url),
            ]);
        }
        // Where nothing is wrong, each client is to have a daemon.
        let holding = if kind == Kind::Calm { 0 } else { 3 };
        random.weighted(&[
            (holding, Self::HoldingStop),
            (26, Self::Url),
            (40, Self::Add(pause)),
            (6, Self::Start),
            (8, Self::Status),
            (8, Self::Stop),
            (4, Self::ForcedStop),
            (8, Self::Restart),
        ])
    }

    pub(in crate::chaos) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Url => &["url"],
            Self::Start => &["daemon", "start"],
            Self::Status => &["daemon", "status"],
            Self::Stop => &["daemon", "stop"],
            Self::ForcedStop => &["daemon", "stop", "--force"],
            Self::HoldingStop => &["daemon", "stop", "--hold"],
            Self::Restart => &["daemon", "restart"],
            Self::Add(_) => &["add"],
        }
    }
}

impl By {
    fn of(kind: Kind, what: What, random: &mut Random) -> Self {
        match kind {
            Kind::Inotify if random.chance(40) => Self::Faulty("inotify_init1=EMFILE"),
            Kind::Syscalls if random.chance(50) => Self::Faulty(random.one_of(&FAULTS)),
            Kind::Clocks if random.chance(50) => {
                Self::Elsewhen(random.one_of(&[2, 3600, 86_400, 31_536_000]))
            }
            Kind::Versions if random.chance(60) => Self::Version(random.one_of(&["0.0.9", "0.2.0"])),
            // An increment of the product's own daemon is refused with 404, so most clients are the journal's.
            _ if !matches!(what, What::Add(_)) && random.chance(15) => Self::Aileron,
            _ => Self::Journal,
        }
    }
}

/// What the kernel says of a call, or lies: see `helper-faults`.
const FAULTS: [&str; 12] = [
    "flock=0",
    "flock=ENOLCK",
    "flock=EIO",
    "inotify_add_watch=ENOSPC",
    "renameat=EIO",
    "renameat=0",
    "renameat=ENOSPC",
    "pidfd_open=ENOSYS",
    "close_range=ENOSYS",
    "memfd_create=ENOSYS",
    "memfd_create=EMFILE",
    "statfs=EIO",
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} ms {}", self.after.as_millis(), self.what.words().join(" "))?;
        if let What::Add(pause) = self.what
            && !pause.is_zero()
        {
            write!(f, " (slow by {} ms)", pause.as_millis())?;
        }
        match self.by {
            By::Journal => {}
            By::Aileron => write!(f, " by aileron")?,
            By::Version(version) => write!(f, " as {version}")?,
            By::Faulty(fault) => write!(f, " with {fault}")?,
            By::Elsewhen(ahead) => write!(f, " {ahead} s ahead")?,
        }
        match self.killed_after {
            Some(after) => write!(f, " killed after {} ms", after.as_millis()),
            None => Ok(()),
        }
    }
}
