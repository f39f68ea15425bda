//! What the owner writes: publish, restore, withdraw. Lock the directory, ask again, write, unlock.

use crate::daemon::{own, say};
use crate::property::Property;
use crate::rules::Rule;
use crate::state::{At, Daemon, Entitled, Heard, Purpose, Record, State, Verdict, Where};
use crate::world::{Promise, Sink, Who, World};

impl World {
    pub(crate) fn section(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        match state.daemons[slot].at {
            At::Section | At::Starting => self.enter(state, slot, sink),
            At::Ask => self.ask(state, slot, sink),
            At::Leave => self.leave(state, slot, sink),
            _ => self.write(state, slot, sink),
        }
    }

    fn enter(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        let daemon = state.daemons[slot];
        let taken = |other: usize| state.daemons[other].in_section && state.daemons[other].dir == daemon.dir;
        let locks = self.rules.has(Rule::Section);
        if locks && daemon.dir != Where::Removed && state.living().any(taken) {
            return;
        }
        let asks = self.rules.has(match daemon.purpose {
            Purpose::Publish => Rule::AskToPublish,
            Purpose::Restore => Rule::AskToRestore,
            Purpose::Withdraw => Rule::AskToWithdraw,
        });
        let mut next = *state;
        next.daemons[slot].in_section = locks;
        next.daemons[slot].entitled = entitlement(state, slot);
        next.daemons[slot].overtaken = false;
        next.daemons[slot].at = if asks { At::Ask } else { Self::first_act(daemon.purpose) };
        let what = if locks { "locks the directory" } else { "goes on without locking the directory" };
        sink.take(Who::Daemon(slot), next, |_| what.to_owned());
    }

    fn first_act(purpose: Purpose) -> At {
        if purpose == Purpose::Withdraw { At::Exit } else { At::Write }
    }

    fn ask(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        let mut next = *state;
        let who = Who::Daemon(slot);
        let verdict = state.verdict(slot);
        let daemon = &mut next.daemons[slot];
        (daemon.suspect, daemon.displaced) = (verdict == Verdict::Suspect, verdict == Verdict::Displaced);
        if verdict == Verdict::Owner {
            daemon.at = Self::first_act(daemon.purpose);
            daemon.entitled = entitlement(state, slot);
            sink.take(who, next, |_| "asks again: the owner".to_owned());
            return;
        }
        self.give_up(&mut next, slot);
        sink.take(who, next, |_| "asks again: not the owner; touches nothing".to_owned());
    }

    /// Nothing is written, or nothing could be.
    fn give_up(&self, next: &mut State, slot: usize) {
        let purpose = next.daemons[slot].leave_section();
        match purpose {
            Purpose::Restore => next.daemons[slot].at = At::Serve,
            Purpose::Withdraw => self.free_the_lock(next, slot),
            Purpose::Publish => {
                say(next, slot, Heard::Lost);
                self.free_the_lock(next, slot);
            }
        }
    }

    fn write(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        let who = Who::Daemon(slot);
        let mut next = *state;
        let at = state.daemons[slot].at;
        let handle = state.daemons[slot].dir;
        let by_path =
            !self.rules.has(Rule::Handle) || (at == At::Exit && !self.rules.has(Rule::ExitByHandle));
        let target = if by_path { Where::AtPath } else { handle };
        if target == Where::AtPath {
            next.broken = harm(self, state, slot, at);
        }
        let by = if by_path { ", by path" } else { "" };
        let Some(dir) = next.dir(target).filter(|dir| dir.there) else {
            return self.fail(state, slot, sink);
        };
        let was = dir.record;
        let what = match at {
            At::Write => {
                dir.temporary = own(slot);
                "writes its record to a temporary file"
            }
            At::Rename if dir.temporary == Record::None => return self.fail(state, slot, sink),
            At::Rename => {
                dir.record = std::mem::take(&mut dir.temporary);
                dir.exit = true;
                overtake(&mut next, slot, target);
                "renames it to `daemon.json`"
            }
            At::Exit if dir.exit => "writes over the exit record",
            At::Exit => {
                next.broken = None;
                "finds no exit record to write over"
            }
            _ if was == Record::None => {
                next.broken = None;
                "finds no `daemon.json` to remove"
            }
            _ => {
                dir.record = Record::None;
                "removes `daemon.json`"
            }
        };
        next.daemons[slot].at = match at {
            At::Write => At::Rename,
            At::Exit => At::Remove,
            _ => At::Leave,
        };
        sink.take(who, next, |names| match was {
            Record::Of(_) if matches!(at, At::Rename | At::Remove) => {
                format!("{what}{by} ({} was there)", names.record(was))
            }
            _ => format!("{what}{by}"),
        });
    }

    /// `ENOENT`: the directory was removed, or the temporary file was.
    fn fail(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        let mut next = *state;
        let who = Who::Daemon(slot);
        let daemon = &mut next.daemons[slot];
        if daemon.purpose == Purpose::Withdraw {
            // Nothing to write over, nothing to remove.
            daemon.at = if daemon.at == At::Exit { At::Remove } else { At::Leave };
        } else {
            self.give_up(&mut next, slot);
        }
        sink.take(who, next, |_| "cannot: ENOENT".to_owned());
    }

    fn leave(&self, state: &State, slot: usize, sink: &mut impl Sink) {
        let mut next = *state;
        let daemon = &mut next.daemons[slot];
        let what = match daemon.leave_section() {
            Purpose::Publish => {
                daemon.serving = true;
                daemon.at = At::Serve;
                say(&mut next, slot, Heard::Ready);
                "unlocks the directory, says `ready`, serves"
            }
            Purpose::Restore => {
                daemon.at = At::Serve;
                "unlocks the directory"
            }
            Purpose::Withdraw => {
                self.free_the_lock(&mut next, slot);
                "unlocks the directory"
            }
        };
        sink.take(Who::Daemon(slot), next, |_| what.to_owned());
    }
}

fn entitlement(state: &State, slot: usize) -> Entitled {
    match state.verdict(slot) {
        _ if state.is_owner(slot) => Entitled::Truly,
        Verdict::Owner => Entitled::Seemingly,
        _ => Entitled::No,
    }
}

impl Daemon {
    /// Frees the directory; what was only of use inside is forgotten.
    fn leave_section(&mut self) -> Purpose {
        (self.in_section, self.entitled, self.overtaken) = (false, Entitled::No, false);
        std::mem::take(&mut self.purpose)
    }
}

/// A publication, as seen by those who are about to write in the same directory.
fn overtake(next: &mut State, slot: usize, target: Where) {
    for (other, daemon) in next.daemons.iter_mut().enumerate() {
        let writes =
            matches!(daemon.at, At::Ask | At::Write | At::Rename | At::Exit | At::Remove | At::Leave);
        daemon.overtaken |= other != slot && writes && daemon.dir == target;
    }
}

/// P4, for a change at the path. Between the question inside the section and the act the role may be lost, and no check can
/// close that gap: what counts then is that nothing is lost that the survivor has published since. (Under `Promise::Literal`:
/// nothing that it has ever published.)
fn harm(world: &World, state: &State, slot: usize, at: At) -> Option<Property> {
    let daemon = &state.daemons[slot];
    if state.is_owner(slot) {
        return None;
    }
    if daemon.entitled == Entitled::No || daemon.dir != Where::AtPath {
        return Some(Property::TouchedByStranger);
    }
    let is_survivors = match state.here.record {
        Record::Of(other) => usize::from(other) != slot && state.is_owner(usize::from(other)),
        Record::None | Record::Stale => false,
    };
    let counts =
        daemon.overtaken || daemon.entitled == Entitled::Seemingly || world.promise == Promise::Literal;
    let takes_away = matches!(at, At::Rename | At::Remove);
    (takes_away && is_survivors && counts).then_some(Property::SurvivorsRecord)
}
