//! Behind the gate: a launch, and in the end a request that acts.

use crate::daemon::own;
use crate::property::Property;
use crate::rules::Rule;
use crate::state::{At, DAEMONS, Daemon, Heard, Record, State, Step, Verdict};
use crate::world::{Commands, Sink, Who, World};

impl World {
    pub(crate) fn launch(&self, state: &State, client: usize, sink: &mut impl Sink) {
        let who = Who::Client(client);
        let mut next = *state;
        let heard = state.clients[client].heard;
        match (state.clients[client].at, heard) {
            (Step::Launch, _) => {
                let Some(slot) = (0..DAEMONS).find(|&slot| state.daemons[slot].at == At::Unused) else {
                    return;
                };
                next.broken = unwanted_launch(state, client);
                next.outside.launched = self.config.commands == Commands::Url && !state.outside.touched;
                let launcher = u8::try_from(client).expect("there are few clients") + 1;
                next.daemons[slot] = Daemon { at: At::Open, launcher, ..Daemon::default() };
                let me = &mut next.clients[client];
                (me.of, me.at, me.heard) = (own(slot), Step::Wait, Heard::Nothing);
                let releases = !self.rules.has(Rule::GateUntilReady);
                if releases {
                    next.close_gate(client);
                }
                let and = if releases { ", and releases the gate" } else { "" };
                sink.take(who, next, |names| format!("launches {}{and}", names.daemon(slot)));
            }
            (Step::Wait, Heard::Nothing) => {}
            (Step::Wait, Heard::Gone) if state.gate_stands(client) => {
                next.close_gate(client);
                next.finish(client);
                sink.take(who, next, |_| "sees its child gone: fails, with the cause".to_owned());
            }
            (Step::Wait, _) => {
                next.close_gate(client);
                let me = &mut next.clients[client];
                (me.at, me.heard, me.of) = (self.before_gate(), Heard::Nothing, Record::None);
                let what = match heard {
                    Heard::Held => "hears `held`: begins again",
                    Heard::Lost => "hears `lost`: begins again",
                    _ => "sees its child gone, and its gate too: begins again",
                };
                sink.take(who, next, |_| what.to_owned());
            }
            _ => self.prove(state, client, sink),
        }
    }

    /// A request that acts: it is sent, and some time later it arrives and is judged.
    pub(crate) fn request(&self, state: &State, client: usize, sink: &mut impl Sink) {
        let mut next = *state;
        let me = &mut next.clients[client];
        let target = match me.of {
            Record::Of(slot) if state.daemons[usize::from(slot)].serving => usize::from(slot),
            _ => {
                next.finish(client);
                sink.take(Who::Client(client), next, |_| "sends a request: refused, looks again".to_owned());
                return;
            }
        };
        if me.at == Step::Send {
            (me.late, me.at) = (!state.is_owner(target), Step::Sent);
            sink.take(Who::Client(client), next, |names| {
                format!("sends a request to {}", names.daemon(target))
            });
            return;
        }
        let verdict = state.verdict(target);
        let acts = verdict == Verdict::Owner || !self.rules.has(Rule::Fence);
        if acts {
            next.broken = (me.late && !state.is_owner(target)).then_some(Property::ActedUpon);
        } else {
            next.daemons[target].displaced |= verdict == Verdict::Displaced;
            next.daemons[target].suspect |= verdict == Verdict::Suspect;
        }
        next.finish(client);
        let what = if acts { "acts upon" } else { "answers 503 to" };
        sink.take(Who::Daemon(target), next, |names| {
            format!("{what} the request of {}", names.client(client))
        });
    }
}

/// P7 and P13, at a launch.
fn unwanted_launch(state: &State, client: usize) -> Option<Property> {
    let me = &state.clients[client];
    let another = state.living().any(|slot| !state.daemons[slot].stopped) || state.outside.launched;
    if another && !state.outside.touched {
        Some(Property::SecondLaunch)
    } else if !me.stood {
        Some(Property::LaunchWithoutGate)
    } else if state.outside.on_hold && state.here.hold && !state.outside.gate_lost {
        Some(Property::LaunchedOnHold)
    } else {
        None
    }
}
