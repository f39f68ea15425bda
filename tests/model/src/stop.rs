//! The gate, which all clients pass in the same way, and what a stop does behind it.

use crate::property::Property;
use crate::rules::Rule;
use crate::state::{Kind, Phase, Record, State, Step, Where};
use crate::world::{Sink, Who, World};

impl World {
    /// Open the directory, open the gate, lock it, compare.
    pub(crate) fn pass_gate(&self, state: &State, client: usize, sink: &mut impl Sink) {
        let who = Who::Client(client);
        let mut next = *state;
        let me = &mut next.clients[client];
        match me.at {
            Step::GateOpen if state.here.there => {
                (me.dir, me.at) = (Where::AtPath, Step::GateFile);
                sink.take(who, next, |_| "opens the directory".to_owned());
            }
            Step::GateOpen => {
                match me.kind {
                    Kind::Stop => next.finish(client),
                    Kind::StopHold => me.at = Step::Mkdir,
                    _ => (me.at, me.phase) = (self.before_gate(), Phase::First),
                }
                sink.take(who, next, |_| "finds no directory".to_owned());
            }
            Step::GateFile => {
                let handle = if self.config.commands.set_holds() { me.dir } else { Where::Closed };
                let handle = std::mem::replace(&mut me.dir, handle);
                if let Some(file) = next.open_gate(handle) {
                    (next.clients[client].gate, next.clients[client].at) = (file, Step::GateLock);
                    sink.take(who, next, |names| format!("opens {}", names.gate(file)));
                } else {
                    self.wait_at_gate(&mut next, client);
                    sink.take(who, next, |_| "opens the gate: ENOENT, tries again".to_owned());
                }
            }
            Step::GateLock if state.gate_is_held(me.gate) => {
                let file = me.gate;
                self.wait_at_gate(&mut next, client);
                sink.take(who, next, |names| format!("flock: {} is held, tries again", names.gate(file)));
            }
            Step::GateLock => {
                let file = me.gate;
                me.gate_held = true;
                me.at = Step::GateCompare;
                if !self.rules.has(Rule::CompareGate) {
                    self.behind_gate(&mut next, client);
                }
                sink.take(who, next, |names| format!("flock: has {}", names.gate(file)));
            }
            _ if state.gate_stands(client) => {
                self.behind_gate(&mut next, client);
                sink.take(who, next, |_| "held gate and path are the same".to_owned());
            }
            _ => {
                next.clients[client].gate_held = false;
                self.wait_at_gate(&mut next, client);
                sink.take(who, next, |_| "held gate and path differ: tries again".to_owned());
            }
        }
    }

    fn wait_at_gate(&self, next: &mut State, client: usize) {
        let me = &mut next.clients[client];
        if self.rules.has(Rule::ReopenGate) {
            me.gate = 0;
        }
        let again = if me.gate == 0 { Step::GateOpen } else { Step::GateLock };
        me.phase = Phase::Waiting;
        if me.gate == 0 {
            me.dir = Where::Closed;
        }
        let stops = matches!(me.kind, Kind::Stop | Kind::StopHold);
        me.at = if stops || !self.rules.has(Rule::LookWhileWaiting) { again } else { Step::Read };
    }

    fn behind_gate(&self, next: &mut State, client: usize) {
        let stands = next.gate_stands(client);
        let me = &mut next.clients[client];
        me.phase = Phase::Gate;
        me.at = match me.kind {
            Kind::StopHold => Step::HoldSet,
            Kind::Stop => Step::ProbeOpen,
            _ if self.rules.has(Rule::LookUnderGate) => Step::Read,
            _ => {
                me.stood = stands;
                self.before_launch()
            }
        };
    }

    pub(crate) fn stop(&self, state: &State, client: usize, sink: &mut impl Sink) {
        let who = Who::Client(client);
        let mut next = *state;
        let me = &mut next.clients[client];
        match me.at {
            Step::HoldSet if state.here.there => {
                next.here.hold = true;
                let gated = self.rules.has(Rule::StopUnderGate);
                next.clients[client].at = if gated { Step::HoldStands } else { Step::ProbeOpen };
                sink.take(who, next, |_| "sets the hold".to_owned());
            }
            Step::HoldStands if state.gate_stands(client) => {
                me.at = Step::ProbeOpen;
                sink.take(who, next, |_| "sees that its gate still stands".to_owned());
            }
            Step::HoldSet | Step::HoldStands => {
                next.close_gate(client);
                next.clients[client].at = Step::Mkdir;
                sink.take(who, next, |_| "directory or gate is gone: begins again".to_owned());
            }
            Step::Tell => {
                let Record::Of(slot) = me.of else {
                    me.at = Step::Free;
                    return sink.take(who, next, |_| "finds the process gone".to_owned());
                };
                me.at = Step::Gone;
                next.daemons[usize::from(slot)].told = true;
                sink.take(who, next, |names| {
                    format!("tells {}, proved to hold the lock, to end", names.daemon(usize::from(slot)))
                });
            }
            // Waiting for the process.
            Step::Gone if me.of != Record::Stale => {}
            Step::Gone => {
                me.at = Step::Free;
                sink.take(who, next, |_| "sees the process gone".to_owned());
            }
            _ => {
                let held = state.stands(me.probe) && state.holder(me.probe).is_some();
                // The deadline passes: it says that it is still running.
                let wrong = held && !state.outside.gate_lost;
                next.finish(client);
                next.broken = wrong.then_some(Property::NotStopped);
                let what =
                    if held { "sees the lock held by another: fails" } else { "sees the lock free: done" };
                sink.take(who, next, |_| what.to_owned());
            }
        }
    }
}
