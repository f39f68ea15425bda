//! One moment of the world: directories, files by inode, processes. Small, flat and `Copy`, for there are millions.

pub use crate::process::{At, Client, Daemon, Entitled, Heard, Kind, Phase, Purpose, Step};

/// How many daemon processes may live at once. A launch that finds no slot is counted, and waits.
pub const DAEMONS: usize = 5;

/// How many clients there are at most.
pub const CLIENTS: usize = 3;

/// An inode number of a lock or gate file; zero is none. The lowest free one is given out, so that a number is reused as soon
/// as neither a name nor a descriptor refers to it.
pub type Ino = u8;

/// What has become of a directory since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Where {
    /// Not open.
    #[default]
    Closed,
    /// It stands at the path.
    AtPath,
    /// It stands elsewhere: it was moved.
    Aside,
    /// It was removed, and what is made in it is `ENOENT`.
    Removed,
}

/// Whose record it is. A dead daemon's is anybody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    /// There is none.
    #[default]
    None,
    /// Of a daemon that is dead.
    Stale,
    /// Of the daemon in this slot.
    Of(u8),
}

/// A directory and the names in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dir {
    /// Whether it exists.
    pub there: bool,
    /// `daemon.lock`.
    pub lock: Ino,
    /// The lock under another name: moved within the directory.
    pub moved_lock: Ino,
    /// `start.lock`.
    pub gate: Ino,
    /// `daemon.json`, and with it `daemon.pid`.
    pub record: Record,
    /// `.daemon.json.new`.
    pub temporary: Record,
    /// `daemon.exit.json`.
    pub exit: bool,
    /// `hold`.
    pub hold: bool,
}

impl Dir {
    /// Whether `rmdir(2)` would succeed.
    pub fn is_empty(&self) -> bool {
        Self { there: self.there, ..Self::default() } == *self
    }
}

/// A removal, or a move and its return, that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Busy {
    /// Nothing.
    #[default]
    No,
    /// `rm -rf` of this directory.
    Removing {
        /// Which.
        dir: Where,
        /// The names that it has read and not removed yet, a bit for each.
        names: u8,
    },
    /// The directory was moved away, and comes back in less than the time between two looks.
    Glitch,
}

/// What from outside the protocol has happened so far, for the properties, and may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts that hold or do not, in any combination")]
pub struct Outside {
    /// How many steps the adversary has left.
    pub steps: u8,
    /// How many of them may be an `rm -rf`, which is a step for the adversary and many system calls.
    pub removals: u8,
    /// How many processes may still be killed.
    pub kills: u8,
    /// How many may still be stopped.
    pub stops: u8,
    /// What it is in the middle of.
    pub busy: Busy,
    /// Whether anything was done from outside yet.
    pub touched: bool,
    /// Whether a daemon was launched, where nobody interfered and nobody ends one.
    pub launched: bool,
    /// Whether a gate was taken from a client that held it, by its removal or by the client's death.
    pub gate_lost: bool,
    /// Whether a `stop --hold` has returned, and its hold stands.
    pub on_hold: bool,
    /// Whether everybody came to rest and a last client is looking.
    pub healing: bool,
}

/// One moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The directory at the path.
    pub here: Dir,
    /// The directory that was moved aside.
    pub aside: Dir,
    /// The daemons.
    pub daemons: [Daemon; DAEMONS],
    /// The clients.
    pub clients: [Client; CLIENTS],
    /// What is not part of the protocol.
    pub outside: Outside,
    /// The property that the last step broke.
    pub broken: Option<crate::property::Property>,
}

/// The answer to "am I still the daemon?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The held file stands at the path.
    Owner,
    /// Nothing does, and the held file has a link.
    Suspect,
    /// Another file does, or the held file has no link.
    Displaced,
}

impl State {
    /// The slots of living daemons.
    pub fn living(&self) -> impl Iterator<Item = usize> + '_ {
        (0..DAEMONS).filter(|&slot| self.daemons[slot].at != At::Unused)
    }

    /// Whether the daemon in `slot` holds the lock whose inode is at the path: the definition, and nobody's opinion.
    pub fn is_owner(&self, slot: usize) -> bool {
        let daemon = &self.daemons[slot];
        daemon.locked && self.stands(daemon.fd)
    }

    /// Whether this lock file stands at the path.
    pub fn stands(&self, fd: Ino) -> bool {
        fd != 0 && self.here.there && self.here.lock == fd
    }

    /// What `lstat(2)` of the path and `fstat(2)` of the held file say: the code's own question.
    pub fn verdict(&self, slot: usize) -> Verdict {
        let daemon = &self.daemons[slot];
        if daemon.displaced {
            return Verdict::Displaced;
        }
        if self.stands(daemon.fd) {
            return Verdict::Owner;
        }
        let links = [self.here.moved_lock, self.aside.lock, self.aside.moved_lock];
        if self.here.lock == 0 && links.contains(&daemon.fd) { Verdict::Suspect } else { Verdict::Displaced }
    }

    /// Whether nobody could ever tell that this daemon, which has nothing left to do, is still there: its lock file has no
    /// name, nobody else has it open, and nobody waits for the process. It is then gone at once, which saves states.
    pub fn is_out_of_sight(&self, slot: usize) -> bool {
        let fd = self.daemons[slot].fd;
        let names = [self.here.lock, self.here.moved_lock, self.aside.lock, self.aside.moved_lock];
        let is_open = self.living().any(|other| other != slot && self.daemons[other].fd == fd);
        let is_awaited = |client: &Client| {
            client.probe == fd || matches!(client.of, Record::Of(of) if usize::from(of) == slot)
        };
        !names.contains(&fd) && !is_open && !self.clients.iter().any(is_awaited)
    }

    /// Who holds this lock file exclusively.
    pub fn holder(&self, file: Ino) -> Option<usize> {
        self.living().find(|&slot| self.daemons[slot].locked && self.daemons[slot].fd == file)
    }

    /// Whether this client's gate stands at the path.
    pub fn gate_stands(&self, client: usize) -> bool {
        let gate = self.clients[client].gate;
        gate != 0 && self.here.there && self.here.gate == gate
    }

    /// Whether somebody has the gate in this file.
    pub fn gate_is_held(&self, file: Ino) -> bool {
        self.clients.iter().any(|client| client.gate_held && client.gate == file)
    }

    /// The directory that a daemon's handle is of, where it still exists.
    pub fn dir_of(&self, slot: usize) -> Option<&Dir> {
        match self.daemons[slot].dir {
            Where::AtPath => Some(&self.here),
            Where::Aside => Some(&self.aside),
            Where::Closed | Where::Removed => None,
        }
    }

    /// Whether there is a hold in the directory that a handle is of.
    pub fn hold_in(&self, handle: Where) -> bool {
        match handle {
            Where::AtPath => self.here.hold,
            Where::Aside => self.aside.hold,
            Where::Closed | Where::Removed => false,
        }
    }

    /// The directory that a handle is of.
    pub fn dir(&mut self, handle: Where) -> Option<&mut Dir> {
        match handle {
            Where::AtPath => Some(&mut self.here),
            Where::Aside => Some(&mut self.aside),
            Where::Closed | Where::Removed => None,
        }
    }
}
