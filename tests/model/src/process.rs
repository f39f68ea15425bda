//! What a process knows and where in its program it is.

use crate::state::{Ino, Record, Where};

/// Where a daemon is in its program. Each but the first and the last is one system call away from the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// About to open the directory.
    Open,
    /// About to open or create the lock file.
    File,
    /// About to `flock` it.
    Flock,
    /// About to compare held and path.
    Compare,
    /// The owner, initialising.
    Starting,
    /// About to lock the directory.
    Section,
    /// About to ask for ownership inside.
    Ask,
    /// About to write the temporary file.
    Write,
    /// About to rename it.
    Rename,
    /// About to write the exit record.
    Exit,
    /// About to remove the record.
    Remove,
    /// About to unlock the directory.
    Leave,
    /// Running; the keeper waits for something to happen.
    Serve,
    /// About to remove the lock file (only without the rule that says never).
    Unlink,
    /// About to unlock, close and be gone.
    Release,
    /// No process.
    #[default]
    Unused,
}

/// What a critical section is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The first publication.
    #[default]
    Publish,
    /// A damaged record.
    Restore,
    /// The end.
    Withdraw,
}

/// By what right a daemon writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entitled {
    /// By none.
    #[default]
    No,
    /// Its file stood at the path, and it did not hold the lock.
    Seemingly,
    /// It was the owner.
    Truly,
}

/// A daemon process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts that hold or do not, in any combination")]
pub struct Daemon {
    /// Its program counter.
    pub at: At,
    /// Its handle of the directory.
    pub dir: Where,
    /// The open lock file.
    pub fd: Ino,
    /// Whether it has the exclusive `flock` on it.
    pub locked: bool,
    /// Whether it has the exclusive `flock` on its directory handle.
    pub in_section: bool,
    /// What the critical section is for.
    pub purpose: Purpose,
    /// Whether it answers requests.
    pub serving: bool,
    /// Whether the last look found nothing at the path.
    pub suspect: bool,
    /// Whether it was proved displaced, which is final.
    pub displaced: bool,
    /// Whether a stop request or a signal has arrived.
    pub told: bool,
    /// For the properties only: what it was when it was last asked, or would have been asked, in its critical section.
    pub entitled: Entitled,
    /// For the properties only: whether another daemon has published since its critical section began.
    pub overtaken: bool,
    /// One more than the client that listens on its launch pipe; zero is none.
    pub launcher: u8,
    /// Whether it was stopped (`SIGSTOP`), for good.
    pub stopped: bool,
}

/// What a client was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing yet.
    #[default]
    None,
    /// `url`: have a daemon, and send it a request that acts.
    Url,
    /// `stop`.
    Stop,
    /// `stop --hold`.
    StopHold,
    /// `kill $(cat daemon.pid)`, in one step.
    Term,
    /// `url` alone in the world, once everybody else has come to rest.
    Healer,
}

/// Where a client is in its program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Not begun.
    #[default]
    Idle,
    /// About to read the record.
    Read,
    /// About to connect and have the instance proved.
    Connect,
    /// About to open the lock, to probe it.
    ProbeOpen,
    /// About to take a shared `flock`.
    ProbeLock,
    /// About to close it again.
    ProbeClose,
    /// About to look for the hold, before the gate.
    HoldBefore,
    /// About to make the directory.
    Mkdir,
    /// About to open the directory of the gate.
    GateOpen,
    /// About to open or create the gate.
    GateFile,
    /// About to `flock` it.
    GateLock,
    /// About to compare held and path.
    GateCompare,
    /// About to set the hold.
    HoldSet,
    /// About to look whether the gate still stands, the hold being set.
    HoldStands,
    /// About to look for the hold, under the gate.
    HoldUnder,
    /// About to look whether the gate still stands, before a launch.
    Stands,
    /// About to launch.
    Launch,
    /// Listening on the launch pipe.
    Wait,
    /// About to have the launched instance proved.
    Prove,
    /// About to tell the daemon to end.
    Tell,
    /// Waiting for the process to be gone.
    Gone,
    /// About to look whether the lock is free.
    Free,
    /// About to send a request that acts.
    Send,
    /// A request is on its way.
    Sent,
    /// Finished.
    Done,
}

/// On whose behalf a client looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The first look.
    #[default]
    First,
    /// While somebody else has the gate.
    Waiting,
    /// Under the gate.
    Gate,
}

/// What was heard on the launch pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Heard {
    /// Nothing yet.
    #[default]
    Nothing,
    /// `ready`.
    Ready,
    /// `held`.
    Held,
    /// `lost`.
    Lost,
    /// `failed`, or the child's end without a word.
    Gone,
}

/// A client process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts that hold or do not, in any combination")]
pub struct Client {
    /// What it was asked for.
    pub kind: Kind,
    /// Its program counter.
    pub at: Step,
    /// On whose behalf it looks.
    pub phase: Phase,
    /// A directory handle, from opening the directory to opening the gate in it; where there are holds, to the gate's close.
    pub dir: Where,
    /// The open gate.
    pub gate: Ino,
    /// Whether it has the exclusive `flock` on it.
    pub gate_held: bool,
    /// The lock file open for a probe.
    pub probe: Ino,
    /// Whether it has the shared `flock` on it.
    pub shared: bool,
    /// The record it has read, the daemon it launched, or the one it stops.
    pub of: Record,
    /// What it heard of its launch.
    pub heard: Heard,
    /// For the properties only: its request was sent when its daemon was not the owner.
    pub late: bool,
    /// For the properties only: the gate stood when the look under it was over.
    pub stood: bool,
    /// How many commands it has still to run.
    pub rounds: u8,
    /// Whether it was stopped (`SIGSTOP`), for good.
    pub stopped: bool,
}
