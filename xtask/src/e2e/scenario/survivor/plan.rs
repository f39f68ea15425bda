//! What happens in which round: drawn from the round's number alone.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;

use super::super::LONG_POLL;
use crate::world::fault::Fault;
use crate::world::home::Watch;

/// The longest wait before A is told to end: well beyond B's start.
const LATEST: Duration = Duration::from_millis(20);
/// An idle end comes neither before A is displaced nor so late that a round takes long.
const IDLE: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(600)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    number: u32,
    pub(super) fault: Fault,
    /// Whether the record goes with the lock where only that is replaced: else B's client asks A, which learns by refusing.
    pub(super) takes_record: bool,
    /// How A watches; without events it has not noticed.
    watch: Watch,
    pub(super) ending: Ending,
    pub(super) meeting: Meeting,
    /// From B's launch, or from its first answer, to A's end.
    pub(super) delay: Duration,
}

/// How A ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Signal(Signal),
    /// `SIGTERM` twice, that far apart.
    TwoSignals(Duration),
    StopRequest,
    /// A has that idle time-out.
    Idle(Duration),
    /// By its file events.
    ByItself,
}

/// What B is doing when A ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    WhileStarting,
    WhileServing,
}

impl Ending {
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Signal(Signal::TERM) => "SIGTERM",
            Self::Signal(Signal::INT) => "SIGINT",
            Self::Signal(Signal::HUP) => "SIGHUP",
            Self::Signal(Signal::KILL) => "SIGKILL",
            Self::Signal(_) => "a signal",
            Self::TwoSignals(_) => "SIGTERM, twice",
            Self::StopRequest => "a stop request",
            Self::Idle(_) => "its idle time-out",
            Self::ByItself => "its file events",
        }
    }
}

impl Plan {
    pub(super) fn of(number: u32) -> Self {
        let mut draw = Draw(u64::from(number));
        let ending = match draw.below(8) {
            0 => Ending::Signal(Signal::TERM),
            1 => Ending::Signal(Signal::INT),
            2 => Ending::Signal(Signal::HUP),
            3 => Ending::Signal(Signal::KILL),
            4 => Ending::TwoSignals(draw.between(Duration::ZERO, Duration::from_millis(3))),
            5 => Ending::StopRequest,
            6 => Ending::Idle(draw.between(IDLE[0], IDLE[1])),
            _ => Ending::ByItself,
        };
        let fault = if draw.coin() { Fault::RemoveTree } else { Fault::ReplaceByEmptyFile };
        let events = draw.coin() || ending == Ending::ByItself;
        let takes_record = fault == Fault::ReplaceByEmptyFile && draw.below(4) > 0;
        let meeting = if draw.coin() { Meeting::WhileStarting } else { Meeting::WhileServing };
        let delay = draw.between(Duration::ZERO, LATEST);
        let watch = if events { Watch::Events } else { Watch::Poll(LONG_POLL) };
        Self { number, fault, takes_record, watch, ending, meeting, delay }
    }

    /// What A is started with.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.watch.variables();
        if let Ending::Idle(timeout) = self.ending {
            variables.push(("AILERON_IDLE_TIMEOUT", format!("{}ms", timeout.as_millis())));
        }
        variables
    }

    /// No end comes later than this after the fault, but for what is promised of ends.
    pub(super) fn longest(&self) -> Duration {
        // B's start is waited for in between.
        let start = Duration::from_secs(30);
        match self.ending {
            Ending::Idle(timeout) => start + timeout,
            _ => start + LATEST,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = if self.watch == Watch::Events { "file events" } else { "no file events" };
        let b = if self.meeting == Meeting::WhileStarting { "starts" } else { "serves" };
        let record = if self.takes_record { " and the record removed" } else { "" };
        let (how, fault, delay) = (self.ending.about(), self.fault.about(), self.delay);
        write!(
            f,
            "round {}: A with {events}, {fault}{record}, while B {b}, {delay:.1?}: {how}",
            self.number
        )?;
        match self.ending {
            Ending::TwoSignals(time) | Ending::Idle(time) => write!(f, " ({time:.1?})"),
            _ => Ok(()),
        }
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014): the same numbers from the same seed for ever.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = u64::try_from(to.saturating_sub(from).as_micros()).unwrap_or(u64::MAX).max(1);
        from + Duration::from_micros(self.below(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_one_plan_and_five_hundred_have_every_kind() {
        assert_eq!(Plan::of(7), Plan::of(7));
        let plans: Vec<Plan> = (1..=500).map(Plan::of).collect();
        let count = |kind: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| kind(plan)).count();
        for ending in ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGTERM, twice", "a stop request"] {
            assert!(count(&|plan| plan.ending.about() == ending) > 30, "{ending}");
        }
        for ending in ["its idle time-out", "its file events"] {
            assert!(count(&|plan| plan.ending.about() == ending) > 30, "{ending}");
        }
        let unnoticed = count(&|plan| plan.watch != Watch::Events && plan.fault == Fault::RemoveTree);
        let handle_is_good = count(&|plan| plan.watch != Watch::Events && plan.takes_record);
        assert!(unnoticed > 60 && handle_is_good > 60);
        assert!(count(&|plan| plan.meeting == Meeting::WhileStarting) > 150);
        assert!(plans.iter().all(|plan| plan.ending != Ending::ByItself || plan.watch == Watch::Events));
        assert!(plans.iter().all(|plan| plan.delay < LATEST));
    }
}
