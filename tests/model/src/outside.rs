//! What is not part of the protocol: the adversary, and `SIGKILL` at any moment.

use crate::daemon::say;
use crate::state::{Busy, CLIENTS, Client, DAEMONS, Dir, Heard, Kind, Record, State, Step, Where};
use crate::world::{Commands, Names, Sink, Who, World};

impl World {
    pub(crate) fn outside(&self, state: &State, sink: &mut impl Sink) {
        self.kill(state, sink);
        Self::stop_for_good(state, sink);
        match state.outside.busy {
            Busy::No => {}
            Busy::Removing { dir, names } => Self::remove_next(state, dir, names, sink),
            Busy::Glitch => {
                let mut next = *state;
                next.outside.busy = Busy::No;
                if state.can_move_back() {
                    next.move_back();
                    emit(state, Who::Adversary, next, sink, |_| "moves it back at once".to_owned());
                } else {
                    sink.take(Who::Adversary, next, |_| "cannot move it back: ENOTEMPTY".to_owned());
                }
                return;
            }
        }
        if state.outside.steps > 0 {
            Self::unlink(state, sink);
            Self::rename(state, sink);
        }
    }

    fn kill(&self, state: &State, sink: &mut impl Sink) {
        if state.outside.kills == 0 {
            return;
        }
        let mut killed = *state;
        killed.outside.kills -= 1;
        (killed.outside.touched, killed.outside.launched) = (true, false);
        for slot in state.living() {
            let mut next = killed;
            say(&mut next, slot, Heard::Gone);
            next.bury(slot);
            sink.take(Who::Chance, next, |names| format!("SIGKILL hits {}", names.daemon(slot)));
        }
        for (client, victim) in state.clients.iter().enumerate() {
            if matches!(victim.at, Step::Idle | Step::Done) {
                continue;
            }
            let mut next = killed;
            // Its child is nobody's, and the gate is free.
            next.outside.gate_lost |= victim.at == Step::Wait && self.config.commands != Commands::Url;
            let at = if victim.rounds == 0 { Step::Done } else { Step::Idle };
            next.clients[client] = Client { at, rounds: victim.rounds, ..Client::default() };
            for slot in 0..DAEMONS {
                if usize::from(next.daemons[slot].launcher) == client + 1 {
                    next.daemons[slot].launcher = 0;
                }
            }
            sink.take(Who::Chance, next, |names| format!("SIGKILL hits {}", names.client(client)));
        }
    }

    /// Not whoever may be stopped, but those of whom nobody should need anything any more: a daemon that knows that it was
    /// displaced, and a client whose daemon is on its way. Who is stopped elsewhere is waited for until a deadline passes,
    /// and there are none here.
    fn stop_for_good(state: &State, sink: &mut impl Sink) {
        if state.outside.stops == 0 {
            return;
        }
        let mut stopped = *state;
        stopped.outside.stops -= 1;
        (stopped.outside.touched, stopped.outside.launched) = (true, false);
        for slot in state.living().filter(|&slot| state.daemons[slot].displaced) {
            let mut next = stopped;
            next.daemons[slot].stopped = true;
            sink.take(Who::Chance, next, |names| format!("SIGSTOP hits {}, for good", names.daemon(slot)));
        }
        for client in (0..CLIENTS).filter(|&client| state.clients[client].at == Step::Wait) {
            let mut next = stopped;
            next.clients[client].stopped = true;
            sink.take(Who::Chance, next, |names| format!("SIGSTOP hits {}, for good", names.client(client)));
        }
    }

    fn unlink(state: &State, sink: &mut impl Sink) {
        let here = state.here;
        if here.lock != 0 {
            let mut next = spent(state);
            next.here.lock = 0;
            emit(state, Who::Chance, next, sink, move |names| format!("unlinks {}", names.lock(here.lock)));
            let mut next = spent(state);
            next.here.lock = next.free_lock();
            let fresh = next.here.lock;
            emit(state, Who::Chance, next, sink, move |names| {
                format!("puts {} in the place of the lock", names.lock(fresh))
            });
        }
        if here.gate != 0 {
            let mut next = spent(state);
            next.here.gate = 0;
            emit(state, Who::Chance, next, sink, move |names| format!("unlinks {}", names.gate(here.gate)));
        }
        if here.record != Record::None {
            let mut next = spent(state);
            next.here.record = Record::None;
            emit(state, Who::Chance, next, sink, |_| "unlinks `daemon.json`".to_owned());
        }
        if here.there && state.outside.busy == Busy::No && state.outside.removals > 0 {
            let mut next = spent(state);
            next.outside.removals = (state.outside.removals - 1).min(next.outside.steps);
            next.outside.busy = Busy::Removing { dir: Where::AtPath, names: names_in(here) };
            emit(state, Who::Chance, next, sink, |_| "begins `rm -rf` of the directory".to_owned());
        }
    }

    fn rename(state: &State, sink: &mut impl Sink) {
        let here = state.here;
        if !here.there {
            let mut next = spent(state);
            next.make_dir();
            emit(state, Who::Chance, next, sink, |_| "makes the directory".to_owned());
        }
        if here.there && !state.aside.there {
            let mut next = spent(state);
            next.move_away();
            emit(state, Who::Chance, next, sink, |_| "moves the directory away".to_owned());
            if state.outside.busy == Busy::No && state.outside.steps > 1 {
                next.outside.steps -= 1;
                next.outside.busy = Busy::Glitch;
                emit(state, Who::Chance, next, sink, |_| "moves the directory away for a moment".to_owned());
            }
        }
        if state.can_move_back() {
            let mut next = spent(state);
            next.move_back();
            emit(state, Who::Chance, next, sink, |_| "moves the old directory back".to_owned());
        }
        if here.lock != 0 && here.moved_lock == 0 {
            let mut next = spent(state);
            next.here.moved_lock = std::mem::take(&mut next.here.lock);
            emit(state, Who::Chance, next, sink, move |names| {
                format!("gives {} another name", names.lock(here.lock))
            });
        }
        if here.moved_lock != 0 {
            let mut next = spent(state);
            next.here.lock = std::mem::take(&mut next.here.moved_lock);
            emit(state, Who::Chance, next, sink, move |names| {
                format!("gives {} its name back", names.lock(here.moved_lock))
            });
        }
    }

    /// One `unlink(2)` of an `rm -rf`, of lock, gate and record in any order; at last its `rmdir(2)`, which fails if somebody has made a name since.
    fn remove_next(state: &State, dir: Where, names: u8, sink: &mut impl Sink) {
        let mut next = *state;
        let Some(target) = next.dir(dir) else {
            next.outside.busy = Busy::No;
            return sink.take(Who::Adversary, next, |_| "`rm -rf`: the directory is gone".to_owned());
        };
        let found = *target;
        if names == 0 {
            next.outside.busy = Busy::No;
            if found.is_empty() {
                next.remove_dir(dir);
            }
            let what = if found.is_empty() { "removes the directory" } else { "ENOTEMPTY" };
            return emit(state, Who::Adversary, next, sink, |_| format!("`rm -rf`: {what}"));
        }
        let first = names & !LAST;
        let now = if first == 0 { names } else { first };
        for (bit, name, left) in removals(found).into_iter().filter(|(bit, ..)| now & bit != 0) {
            let mut next = *state;
            next.outside.busy = Busy::Removing { dir, names: names & !bit };
            if let Some(dir) = next.dir(dir) {
                *dir = left;
            }
            emit(state, Who::Adversary, next, sink, move |_| format!("`rm -rf`: unlinks {name}"));
        }
    }
}

/// The files that hardly any step depends on go together and last.
const LAST: u8 = 8;

/// Each name that may be removed, and what is left without it.
fn removals(found: Dir) -> [(u8, &'static str, Dir); 4] {
    let rest = Dir { moved_lock: 0, temporary: Record::None, exit: false, hold: false, ..found };
    [
        (1, "`daemon.lock`", Dir { lock: 0, ..found }),
        (2, "`start.lock`", Dir { gate: 0, ..found }),
        (4, "`daemon.json`", Dir { record: Record::None, ..found }),
        (LAST, "the other files", rest),
    ]
}

fn names_in(found: Dir) -> u8 {
    removals(found).iter().filter(|(.., left)| *left != found).map(|(bit, ..)| bit).sum()
}

fn spent(state: &State) -> State {
    let mut next = *state;
    next.outside.steps -= 1;
    (next.outside.touched, next.outside.launched) = (true, false);
    next.outside.removals = next.outside.removals.min(next.outside.steps);
    next
}

/// The adversary's step, and whether it has taken a gate from under a client.
fn emit(
    before: &State,
    who: Who,
    mut next: State,
    sink: &mut impl Sink,
    what: impl FnOnce(&dyn Names) -> String,
) {
    let lost = |client: usize| {
        let me = &before.clients[client];
        let passed = me.gate_held && me.at != Step::GateCompare;
        passed && before.gate_stands(client) && !next.gate_stands(client)
    };
    let has_stops = before
        .clients
        .iter()
        .any(|client| matches!(client.kind, Kind::Stop | Kind::StopHold) || client.rounds > 0);
    if has_stops && (0..before.clients.len()).any(lost) {
        next.outside.gate_lost = true;
    }
    sink.take(who, next, what);
}

impl State {
    /// `rename(2)` over a directory that is not empty is `ENOTEMPTY`.
    fn can_move_back(&self) -> bool {
        self.aside.there && (!self.here.there || self.here.is_empty())
    }
}
