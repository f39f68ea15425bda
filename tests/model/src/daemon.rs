//! A daemon, from its first system call to its last.

use crate::property::Property;
use crate::rules::Rule;
use crate::state::{At, Busy, Daemon, Heard, Purpose, Record, State, Step, Verdict, Where};
use crate::world::{Names, Promise, Sink, Who, World};

impl World {
    pub(crate) fn daemon(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        match state.daemons[slot].at {
            At::Unused => {}
            At::Open | At::File | At::Flock | At::Compare => self.acquire(state, slot, sink),
            At::Starting => self.starting(state, slot, sink),
            At::Serve => self.serve(state, slot, sink),
            At::Unlink | At::Release => Self::release(state, slot, sink),
            _ => self.section(state, slot, sink),
        }
    }

    /// Open the directory, open the file, lock it, compare.
    fn acquire(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        let mut next = *state;
        let who = Who::Daemon(slot);
        let again = if self.rules.has(Rule::BeginAtDirectory) { At::Open } else { At::File };
        let daemon = &mut next.daemons[slot];
        match daemon.at {
            At::Open if state.here.there => {
                (daemon.dir, daemon.at) = (Where::AtPath, At::File);
                sink.take(who, next, |_| "opens the directory".to_owned());
            }
            At::Open if self.rules.has(Rule::NoDirectoryMade) => {
                say(&mut next, slot, Heard::Lost);
                next.bury(slot);
                sink.take(who, next, |_| "finds no directory: says `lost` and exits".to_owned());
            }
            At::Open => {
                next.make_dir();
                next.broken = Some(Property::TouchedByStranger);
                sink.take(who, next, |_| "finds no directory and makes one".to_owned());
            }
            At::File => {
                let made = state.dir_of(slot).is_some_and(|dir| dir.lock == 0);
                if let Some(file) = next.open_lock(state.daemons[slot].dir) {
                    (next.daemons[slot].fd, next.daemons[slot].at) = (file, At::Flock);
                    let verb = if made { "creates" } else { "opens" };
                    sink.take(who, next, |names| format!("{verb} {}", names.lock(file)));
                } else {
                    next.daemons[slot].at = again;
                    sink.take(who, next, |_| "opens the lock: ENOENT, so it begins again".to_owned());
                }
            }
            At::Flock => self.flock(state, slot, again, sink),
            _ => {
                let stands = state.stands(daemon.fd);
                if stands || !self.rules.has(Rule::CompareLock) {
                    daemon.at = At::Starting;
                    next.broken =
                        if stands { self.unwanted_office(state) } else { Some(Property::FalseOwner) };
                    let how = if self.rules.has(Rule::CompareLock) {
                        "held and path are the same"
                    } else {
                        "compares nothing"
                    };
                    sink.take(who, next, |_| format!("{how}: takes office, binds, initialises"));
                } else {
                    (daemon.locked, daemon.fd, daemon.at) = (false, 0, again);
                    sink.take(who, next, |_| "held and path differ: closes, begins again".to_owned());
                }
            }
        }
    }

    /// P13. To the letter also where the client that launched it was killed since, and its gate was free.
    fn unwanted_office(&self, state: &State) -> Option<Property> {
        let excused = state.outside.gate_lost && self.promise == Promise::Kept;
        (state.outside.on_hold && state.here.hold && !excused).then_some(Property::OfficeOnHold)
    }

    fn flock(&self, state: &State, slot: usize, again: At, sink: &mut impl Sink) {
        let who = Who::Daemon(slot);
        let file = state.daemons[slot].fd;
        let exclusive = state.holder(file).is_some();
        let shared = state.clients.iter().any(|client| client.shared && client.probe == file);
        let mut next = *state;
        if !exclusive && !shared {
            (next.daemons[slot].locked, next.daemons[slot].at) = (true, At::Compare);
            if next.living().filter(|other| next.is_owner(*other)).count() > 1 {
                next.broken = Some(Property::TwoHolders);
            }
            sink.take(who, next, |names| format!("flock: has {}", names.lock(file)));
            return;
        }
        (next.daemons[slot].fd, next.daemons[slot].at) = (0, again);
        sink.take(who, next, |names| format!("flock: {} is held; closes, tries again", names.lock(file)));
        if exclusive || !self.rules.has(Rule::Patience) {
            let mut next = *state;
            say(&mut next, slot, Heard::Held);
            next.bury(slot);
            sink.take(who, next, |names| {
                format!("flock: {} is held; says `held` and exits", names.lock(file))
            });
        }
    }

    /// The keeper looks from here on. Initialisation takes as long as it takes.
    fn starting(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        self.look(state, slot, sink);
        self.section(state, slot, sink);
        self.hear(state, slot, sink);
    }

    fn serve(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        self.look(state, slot, sink);
        self.hear(state, slot, sink);
        let daemon = state.daemons[slot];
        let record = if self.rules.has(Rule::Handle) { state.dir_of(slot) } else { Some(&state.here) };
        let whole = record.is_some_and(|dir| dir.record == own(slot));
        // In a directory that was removed there is nothing to restore, and the look says so.
        let can = daemon.dir != Where::Removed && !daemon.suspect && !daemon.displaced;
        if self.rules.has(Rule::Restore) && can && !whole {
            let mut next = *state;
            (next.daemons[slot].at, next.daemons[slot].purpose) = (At::Section, Purpose::Restore);
            sink.take(Who::Daemon(slot), next, |_| "its record is not there: wants to restore it".to_owned());
        }
    }

    /// The keeper looks, where it would find something new.
    fn look(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        if !self.rules.has(Rule::KeepLooking) {
            return;
        }
        let who = Who::Daemon(slot);
        let mut next = *state;
        let daemon = &mut next.daemons[slot];
        let second = daemon.suspect || !self.rules.has(Rule::SecondLook);
        let in_a_glitch = state.outside.busy == Busy::Glitch;
        match state.verdict(slot) {
            Verdict::Owner if daemon.suspect => {
                daemon.suspect = false;
                sink.take(who, next, |_| "looks: the lock is back, it is the owner again".to_owned());
            }
            Verdict::Owner => {}
            Verdict::Suspect if !second => {
                daemon.suspect = true;
                sink.take(who, next, |_| {
                    "looks: nothing at the path, a link left; the second look decides".to_owned()
                });
            }
            // Two looks are further apart than that.
            Verdict::Suspect if in_a_glitch && self.rules.has(Rule::SecondLook) => {}
            verdict => {
                if verdict == Verdict::Suspect && in_a_glitch {
                    next.broken = Some(Property::FalseAlarm);
                }
                self.displace(&mut next, slot);
                sink.take(who, next, |_| "looks: displaced; ends".to_owned());
            }
        }
    }

    /// The verdict, and what follows of it.
    fn displace(&self, next: &mut State, slot: usize) {
        let daemon = &mut next.daemons[slot];
        daemon.displaced = true;
        daemon.told = false;
        if daemon.at == At::Starting {
            say(next, slot, Heard::Lost);
        } else if !self.rules.has(Rule::DisplacedWritesNothing) {
            daemon.serving = false;
            (daemon.at, daemon.purpose) = (At::Section, Purpose::Withdraw);
            return;
        }
        self.free_the_lock(next, slot);
    }

    /// A stop request or a signal: the keeper looks first.
    fn hear(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        if !state.daemons[slot].told {
            return;
        }
        let who = Who::Daemon(slot);
        let mut next = *state;
        next.daemons[slot].told = false;
        if self.rules.has(Rule::KeepLooking) && state.verdict(slot) == Verdict::Displaced {
            self.displace(&mut next, slot);
            sink.take(who, next, |_| "is told to end, looks: displaced; ends".to_owned());
            return;
        }
        if state.daemons[slot].at == At::Starting {
            say(&mut next, slot, Heard::Gone);
        }
        let daemon = &mut next.daemons[slot];
        daemon.serving = false;
        (daemon.at, daemon.purpose) = (At::Section, Purpose::Withdraw);
        if !self.rules.has(Rule::LockLast) {
            daemon.locked = false;
        }
        let and = if self.rules.has(Rule::LockLast) { "" } else { ", frees the lock" };
        sink.take(who, next, |_| format!("is told to end: drains{and}, wants to withdraw"));
    }

    /// Towards the end of the process.
    pub(crate) fn free_the_lock(&self, next: &mut State, slot: usize) {
        let dir = next.daemons[slot].dir;
        let daemon = &mut next.daemons[slot];
        let at = if self.rules.has(Rule::LockStays) { At::Release } else { At::Unlink };
        // All else does not matter any more.
        *daemon = Daemon { at, fd: daemon.fd, locked: daemon.locked, ..Daemon::default() };
        if at == At::Unlink {
            next.daemons[slot].dir = dir;
        } else if next.is_out_of_sight(slot) {
            next.bury(slot);
        }
    }

    fn release(state: &State, slot: usize, sink: &mut impl Sink) {
        let who = Who::Daemon(slot);
        let mut next = *state;
        if state.daemons[slot].at == At::Unlink {
            let fd = state.daemons[slot].fd;
            let mut removed = 0;
            if let Some(dir) = next.dir(state.daemons[slot].dir) {
                removed = std::mem::take(&mut dir.lock);
            }
            // To remove one's own is against the letter of P6; here it is the harm that counts.
            next.broken = (removed != 0 && removed != fd).then_some(Property::LockRemoved);
            next.daemons[slot].at = At::Release;
            let says = move |names: &dyn Names| match removed {
                0 => "unlinks the lock: ENOENT".to_owned(),
                _ => format!("unlinks {}", names.lock(removed)),
            };
            sink.take(who, next, says);
            return;
        }
        next.bury(slot);
        sink.take(who, next, |_| "frees the lock and exits".to_owned());
    }
}

/// The message on the launch pipe.
pub(crate) fn say(state: &mut State, slot: usize, heard: Heard) {
    let launcher = std::mem::take(&mut state.daemons[slot].launcher);
    if launcher != 0 {
        let client = &mut state.clients[usize::from(launcher) - 1];
        match heard {
            // To hear it is nobody else's business.
            Heard::Ready => client.at = Step::Prove,
            _ => client.heard = heard,
        }
    }
}

/// The record of the daemon in this slot.
pub(crate) fn own(slot: usize) -> Record {
    Record::Of(u8::try_from(slot).expect("there are few slots"))
}
