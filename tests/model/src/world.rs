//! From one moment to all the next ones.

use crate::daemon::own;
use crate::property::Property;
use crate::rules::Rules;
use crate::state::{At, CLIENTS, Client, DAEMONS, Daemon, Kind, Outside, Record, State, Step, Where};

/// Who makes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A daemon, by slot.
    Daemon(usize),
    /// A client.
    Client(usize),
    /// The adversary, in the middle of something: it will finish.
    Adversary,
    /// The adversary, a signal, or a person who types a command: may do so, or not.
    Chance,
}

impl Who {
    /// Whether the step is taken for certain if nothing else happens for long enough.
    pub fn is_fair(self) -> bool {
        self != Self::Chance
    }
}

/// How things are called in a trace.
pub trait Names {
    /// A daemon.
    fn daemon(&self, slot: usize) -> String;
    /// A client.
    fn client(&self, client: usize) -> String;
    /// A lock file.
    fn lock(&self, file: u8) -> String;
    /// A gate.
    fn gate(&self, file: u8) -> String;
    /// Whose record it is.
    fn record(&self, record: Record) -> String {
        match record {
            Record::None => "nothing".to_owned(),
            Record::Stale => "the record of a dead daemon".to_owned(),
            Record::Of(slot) => format!("the record of {}", self.daemon(usize::from(slot))),
        }
    }
}

/// What takes the steps that are possible: the search, which wants the states, or a trace, which wants the words.
pub trait Sink {
    /// One possible step, and what it is in words.
    fn take(&mut self, who: Who, next: State, what: impl FnOnce(&dyn Names) -> String);
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether it begins with a daemon that serves, or with nothing.
    pub begin: Begin,
    /// How many clients there are.
    pub clients: usize,
    /// How many commands each of them may run.
    pub rounds: u8,
    /// Whether they may stop the daemon, and set a hold.
    pub commands: Commands,
    /// How many steps the adversary has.
    pub steps: u8,
    /// How many of them may be an `rm -rf`.
    pub removals: u8,
    /// How many processes may be killed.
    pub kills: u8,
    /// How many may be stopped for good.
    pub stops: u8,
}

/// How it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// There is nothing, not even a directory.
    Empty,
    /// A daemon serves.
    Serving,
}

/// What clients may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    /// `url` only.
    Url,
    /// `url` or `stop`.
    UrlStop,
    /// `url`, or a signal to the daemon.
    UrlTerm,
    /// `url` or `stop --hold`.
    UrlHold,
    /// `url`, `stop` or `stop --hold`.
    All,
}

impl Commands {
    pub(crate) fn set_holds(self) -> bool {
        matches!(self, Self::UrlHold | Self::All)
    }

    pub(crate) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Url => &[Kind::Url],
            Self::UrlStop => &[Kind::Url, Kind::Stop],
            Self::UrlTerm => &[Kind::Url, Kind::Term],
            Self::UrlHold => &[Kind::Url, Kind::StopHold],
            Self::All => &[Kind::Url, Kind::Stop, Kind::StopHold],
        }
    }
}

/// The rules and what they are tried on.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Which rules are in force.
    pub rules: Rules,
    /// What is searched.
    pub config: Config,
    /// How P4 is read.
    pub promise: Promise,
}

/// How the promise to the survivor is read: that its record stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// As it can be kept: nobody takes away what an owner published after the other had asked for ownership.
    Kept,
    /// To the letter: nobody who is not the owner at this instant takes away any record of the owner's.
    Literal,
}

impl World {
    /// The first moment.
    pub fn first(&self) -> State {
        let mut state = State::default();
        assert!(self.config.clients <= CLIENTS, "there are {CLIENTS} clients at most");
        for client in &mut state.clients[..self.config.clients] {
            client.rounds = self.config.rounds;
        }
        state.outside.steps = self.config.steps;
        state.outside.removals = self.config.removals.min(self.config.steps);
        state.outside.kills = self.config.kills;
        state.outside.stops = self.config.stops;
        if self.config.begin == Begin::Serving {
            state.outside.launched = self.config.commands == Commands::Url;
            state.make_dir();
            state.here.lock = 1;
            state.here.gate = 1;
            state.here.record = Record::Of(0);
            state.here.exit = true;
            state.daemons[0] = Daemon {
                at: At::Serve,
                dir: Where::AtPath,
                fd: 1,
                locked: true,
                serving: true,
                ..Daemon::default()
            };
        }
        state
    }

    /// Every step that is possible.
    pub fn successors(&self, state: &State, sink: &mut impl Sink) {
        if state.broken.is_some() {
            return;
        }
        let mut counted = Counted { sink, fair: 0 };
        for slot in (0..DAEMONS).filter(|&slot| !state.daemons[slot].stopped) {
            self.daemon(state, slot, &mut counted);
        }
        for client in (0..CLIENTS).filter(|&client| !state.clients[client].stopped) {
            self.client(state, client, &mut counted);
        }
        self.outside(state, &mut counted);
        if counted.fair == 0 {
            at_rest(state, sink);
        }
    }
}

/// Knows whether anything goes on by itself.
struct Counted<'a, S> {
    sink: &'a mut S,
    fair: u32,
}

impl<S: Sink> Sink for Counted<'_, S> {
    fn take(&mut self, who: Who, next: State, what: impl FnOnce(&dyn Names) -> String) {
        self.fair += u32::from(who.is_fair());
        self.sink.take(who, next, what);
    }
}

/// Nothing more happens by itself. P11: there is one daemon or none, and a client alone gets one. Who was stopped is neither
/// here nor there.
fn at_rest(state: &State, sink: &mut impl Sink) {
    let mut next = *state;
    let mut living = state.living().filter(|&slot| !state.daemons[slot].stopped);
    let (one, another) = (living.next(), living.next());
    let waits = |client: &Client| !client.stopped && !matches!(client.at, Step::Idle | Step::Done);
    next.broken = match one {
        _ if state.clients.iter().any(waits) => Some(Property::Stuck),
        Some(_) if another.is_some() => Some(Property::SeveralDaemons),
        Some(slot) if !state.is_owner(slot) => Some(Property::OrphanAtRest),
        Some(slot) if state.here.record != own(slot) => Some(Property::UnadvertisedAtRest),
        _ => None,
    };
    if next.broken.is_some() {
        sink.take(Who::Chance, next, |_| "nothing more happens".to_owned());
    } else if !state.outside.healing {
        next.outside = Outside { healing: true, ..Outside::default() };
        next.clients = [Client::default(); CLIENTS];
        next.clients[0] = Client { kind: Kind::Healer, at: Step::Read, ..Client::default() };
        next.here.hold = false;
        let what = "everybody has come to rest; a last client begins, alone";
        sink.take(Who::Chance, next, |_| what.to_owned());
    }
}

impl World {
    /// Whether somebody would launch and finds every slot taken.
    pub fn is_crowded(&self, state: &State) -> bool {
        state.living().count() == DAEMONS && state.clients.iter().any(|client| client.at == Step::Launch)
    }
}
