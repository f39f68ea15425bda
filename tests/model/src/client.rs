//! A client that wants a daemon: look, hold, directory, and behind the gate (see `stop`) look again, launch (see `launch`).

use crate::daemon::own;
use crate::property::Property;
use crate::rules::Rule;
use crate::state::{At, Client, Kind, Phase, Purpose, Record, State, Step, Verdict, Where};
use crate::world::{Sink, Who, World};

/// What a probe of the lock found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// Nobody holds it, or it is not there.
    Free,
    /// Somebody held it; and who does when the probe is closed.
    Held { by: Option<usize> },
}

impl World {
    pub(crate) fn client(&self, state: &State, client: usize, sink: &mut impl Sink) {
        match state.clients[client].at {
            Step::Done => {}
            Step::Idle => self.begin(state, client, sink),
            Step::Read | Step::Connect | Step::ProbeOpen | Step::ProbeLock | Step::ProbeClose => {
                self.look_for_daemon(state, client, sink);
            }
            Step::HoldBefore | Step::Mkdir | Step::HoldUnder | Step::Stands => {
                self.prepare(state, client, sink);
            }
            Step::GateOpen | Step::GateFile | Step::GateLock | Step::GateCompare => {
                self.pass_gate(state, client, sink);
            }
            Step::Launch | Step::Wait | Step::Prove => self.launch(state, client, sink),
            Step::Send | Step::Sent => self.request(state, client, sink),
            Step::HoldSet | Step::HoldStands | Step::Tell | Step::Gone | Step::Free => {
                self.stop(state, client, sink);
            }
        }
    }

    /// A person types a command.
    fn begin(&self, state: &State, client: usize, sink: &mut impl Sink) {
        if state.clients[client].rounds == 0 {
            return;
        }
        for kind in self.config.commands.kinds() {
            let mut next = *state;
            if *kind == Kind::Term {
                Self::terminate(state, client, sink);
                continue;
            }
            let rounds = state.clients[client].rounds - 1;
            let under_gate = self.rules.has(Rule::StopUnderGate);
            let (at, what) = match kind {
                Kind::StopHold => (Step::Mkdir, "begins `stop --hold`"),
                Kind::Stop if under_gate => (Step::GateOpen, "begins `stop`"),
                Kind::Stop => (Step::ProbeOpen, "begins `stop`"),
                _ => (Step::Read, "begins `url`"),
            };
            next.clients[client] = Client { kind: *kind, at, rounds, ..Client::default() };
            sink.take(Who::Chance, next, |names| format!("{} {what}", names.client(client)));
        }
    }

    /// `kill $(cat daemon.pid)`, without asking anybody.
    fn terminate(state: &State, client: usize, sink: &mut impl Sink) {
        let Record::Of(slot) = state.here.record else { return };
        let mut next = *state;
        next.clients[client].rounds -= 1;
        next.daemons[usize::from(slot)].told = true;
        next.finish(client);
        sink.take(Who::Chance, next, |names| {
            format!("somebody sends SIGTERM to {}", names.daemon(usize::from(slot)))
        });
    }

    /// A look writes nothing and takes no lock that anybody waits for.
    fn look_for_daemon(&self, state: &State, client: usize, sink: &mut impl Sink) {
        let who = Who::Client(client);
        let mut next = *state;
        let me = &mut next.clients[client];
        match me.at {
            Step::Read => {
                let found = state.here.record;
                me.of = found;
                if found == Record::None {
                    Self::unproved(&mut next, client);
                } else {
                    me.at = Step::Connect;
                }
                sink.take(who, next, |names| format!("reads {}", names.record(found)));
            }
            Step::Connect => self.prove(state, client, sink),
            Step::ProbeOpen if state.here.lock == 0 => {
                self.probed(&mut next, client, Probe::Free);
                sink.take(who, next, |_| "probes the lock: there is none".to_owned());
            }
            Step::ProbeOpen => {
                (me.probe, me.at) = (state.here.lock, Step::ProbeLock);
                sink.take(who, next, |names| format!("opens {} to probe it", names.lock(state.here.lock)));
            }
            Step::ProbeLock => {
                let free = state.holder(me.probe).is_none();
                (me.shared, me.at) = (free, Step::ProbeClose);
                let what = if free { "free" } else { "held" };
                sink.take(who, next, |_| format!("takes a shared flock for a moment: it is {what}"));
            }
            _ => {
                let (file, free) = (me.probe, std::mem::take(&mut me.shared));
                if matches!(me.kind, Kind::Url | Kind::Healer) {
                    // A stop remembers which file it was.
                    me.probe = 0;
                }
                let probe = if free { Probe::Free } else { Probe::Held { by: state.holder(file) } };
                self.probed(&mut next, client, probe);
                sink.take(who, next, |_| "closes it".to_owned());
            }
        }
    }

    /// What a look comes to that proved nobody.
    fn probed(&self, next: &mut State, client: usize, probe: Probe) {
        let stands = next.gate_stands(client);
        let me = &mut next.clients[client];
        me.of = Record::None;
        me.at = match (me.kind, me.phase) {
            (Kind::Stop | Kind::StopHold, _) => {
                if let Probe::Held { by: Some(slot) } = probe {
                    me.of = own(slot);
                    Step::Tell
                } else {
                    return next.finish(client);
                }
            }
            (_, Phase::First | Phase::Waiting) => self.before_gate(),
            (_, Phase::Gate) if probe != Probe::Free && self.rules.has(Rule::WaitForOwner) => Step::Read,
            (_, Phase::Gate) => {
                me.stood = stands;
                self.before_launch()
            }
        };
    }

    /// A look that found nobody goes on to the lock. To a waiter that would tell nothing: it tries the gate again.
    fn unproved(next: &mut State, client: usize) {
        let me = &mut next.clients[client];
        me.of = Record::None;
        me.at = match me.phase {
            Phase::Waiting if me.gate != 0 => Step::GateLock,
            Phase::Waiting => Step::GateOpen,
            Phase::First | Phase::Gate => Step::ProbeOpen,
        };
    }

    /// What comes before the gate. Where no hold is ever set none is looked for.
    pub(crate) fn before_gate(&self) -> Step {
        if self.config.commands.set_holds() { Step::HoldBefore } else { Step::Mkdir }
    }

    pub(crate) fn before_launch(&self) -> Step {
        match self.config.commands.set_holds() {
            true => Step::HoldUnder,
            false if self.rules.has(Rule::GateStands) => Step::Stands,
            false => Step::Launch,
        }
    }

    /// Connects to the recorded address and has the instance proved. Also after a launch.
    pub(crate) fn prove(&self, state: &State, client: usize, sink: &mut impl Sink) {
        let who = Who::Client(client);
        let after_launch = state.clients[client].at == Step::Prove;
        let mut next = *state;
        let unproved = |next: &mut State| {
            if after_launch {
                next.close_gate(client);
                next.clients[client].at = self.before_gate();
            } else {
                Self::unproved(next, client);
            }
        };
        let Record::Of(slot) = state.clients[client].of else {
            if !self.rules.has(Rule::Proof) {
                next.broken = Some(Property::Stranger);
                sink.take(who, next, |_| {
                    "connects: somebody has that port by now, and is believed".to_owned()
                });
            }
            next.broken = None;
            unproved(&mut next);
            sink.take(who, next, |_| "connects: refused, or a stranger who proves nothing".to_owned());
            return;
        };
        let slot = usize::from(slot);
        let daemon = &mut next.daemons[slot];
        let about_to_serve =
            daemon.purpose == Purpose::Publish && !matches!(daemon.at, At::Release | At::Unlink);
        if !daemon.serving && about_to_serve {
            // In the backlog.
            return;
        }
        let name = move |names: &dyn crate::world::Names| names.daemon(slot);
        let verdict = state.verdict(slot);
        if !daemon.serving {
            unproved(&mut next);
            sink.take(who, next, |names| format!("connects to {}: refused, it is leaving", name(names)));
        } else if verdict == Verdict::Owner || !self.rules.has(Rule::FencedHandshake) {
            next.broken = (verdict != Verdict::Owner).then_some(Property::HandedAnOrphan);
            next.found(client);
            sink.take(who, next, |names| {
                format!("connects to {}: it proves its instance; found", name(names))
            });
        } else {
            // A fence that refuses remembers the proof, and has the keeper look.
            daemon.displaced |= verdict == Verdict::Displaced;
            daemon.suspect |= verdict == Verdict::Suspect;
            unproved(&mut next);
            sink.take(who, next, |names| format!("connects to {}: 503, the fence is closed", name(names)));
        }
    }

    fn prepare(&self, state: &State, client: usize, sink: &mut impl Sink) {
        let who = Who::Client(client);
        let mut next = *state;
        let me = &mut next.clients[client];
        let held_back = match me.at {
            Step::HoldBefore => state.here.hold,
            _ if !self.rules.has(Rule::HoldUnderGate) => false,
            _ if self.rules.has(Rule::HoldByHandle) => state.hold_in(me.dir),
            _ => state.here.hold,
        };
        match me.at {
            Step::HoldBefore | Step::HoldUnder if held_back => {
                next.close_gate(client);
                next.finish(client);
                sink.take(who, next, |_| "sees the hold: starts nothing".to_owned());
            }
            Step::HoldBefore => {
                me.at = Step::Mkdir;
                sink.take(who, next, |_| "sees no hold".to_owned());
            }
            Step::Mkdir => {
                let gated = me.kind != Kind::StopHold || self.rules.has(Rule::StopUnderGate);
                me.at = if gated { Step::GateOpen } else { Step::HoldSet };
                next.make_dir();
                let what = if state.here.there { "finds the directory" } else { "makes the directory" };
                sink.take(who, next, |_| what.to_owned());
            }
            Step::HoldUnder => {
                me.at = if self.rules.has(Rule::GateStands) { Step::Stands } else { Step::Launch };
                sink.take(who, next, |_| "sees no hold, under the gate".to_owned());
            }
            _ if state.gate_stands(client) => {
                (me.at, me.stood) = (Step::Launch, true);
                sink.take(who, next, |_| "sees that its gate still stands".to_owned());
            }
            _ => {
                next.close_gate(client);
                next.clients[client].at = self.before_gate();
                sink.take(who, next, |_| "its gate does not stand any more: begins again".to_owned());
            }
        }
    }
}

impl State {
    /// Unlocks the gate and closes it.
    pub(crate) fn close_gate(&mut self, client: usize) {
        let me = &mut self.clients[client];
        (me.dir, me.gate, me.gate_held, me.phase, me.stood) = (Where::Closed, 0, false, Phase::First, false);
    }

    /// The client has its daemon, and lets go of the gate.
    fn found(&mut self, client: usize) {
        self.close_gate(client);
        self.clients[client].at = Step::Send;
        if self.clients[client].kind == Kind::Healer {
            self.clients[client] = Client { kind: Kind::Healer, at: Step::Done, ..Client::default() };
        }
    }

    /// The command is over, whatever came of it.
    pub(crate) fn finish(&mut self, client: usize) {
        self.close_gate(client);
        let Client { kind, rounds, .. } = self.clients[client];
        let at = if rounds == 0 { Step::Done } else { Step::Idle };
        self.clients[client] = Client { at, rounds, ..Client::default() };
        match kind {
            Kind::Healer => self.broken = Some(Property::NotHealed),
            Kind::StopHold => self.outside.on_hold |= self.here.hold,
            _ => {}
        }
    }
}
