//! When to end: events in, decision out. Pure: it is told the time, and has no clock and does no I/O.
//!
//! | event | drain | the record |
//! |---|---|---|
//! | stop request, signal, idle | up to the drain time-out | withdrawn |
//! | displaced | the shorter of 2 s and the drain time-out | left alone |
//! | serve error, vital task | none | withdrawn if still the owner |
//!
//! A later cause may shorten the drain and forbid writing, never the reverse; the first cause names the reason. A second
//! signal ends the drain at once.

use std::time::{Duration, Instant};

use crate::ShutdownReason;

/// The longest drain of a displaced daemon: its clients are served by another by now.
pub const DISPLACED_DRAIN: Duration = Duration::from_secs(2);

/// How long after the end of the drain the process may still exist.
pub const WATCHDOG: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A cause to end.
    Cause(ShutdownReason),
    /// Everything in flight has finished.
    Drained,
    /// Time has passed.
    Tick,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing that is not being done already.
    None,
    /// Begin to drain: stop accepting, let what is in flight finish.
    Drain,
    /// End now.
    End,
}

/// What has been decided so far.
#[derive(Clone, Debug)]
pub struct Policy {
    drain_timeout: Duration,
    ending: Option<Ending>,
    signals: u32,
}

/// A decided end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The first cause.
    pub reason: ShutdownReason,
    /// When the drain is over, whatever is still open.
    pub drain_until: Instant,
    /// Whether the record may be withdrawn and the exit recorded.
    pub may_write: bool,
    /// Whether the drain is over.
    pub over: bool,
}

impl Ending {
    /// When the process is ended by force.
    pub fn watchdog(&self) -> Instant {
        self.drain_until + WATCHDOG
    }
}

impl Policy {
    /// A policy that has decided nothing; `drain_timeout` bounds every drain.
    pub fn new(drain_timeout: Duration) -> Self {
        Self { drain_timeout, ending: None, signals: 0 }
    }

    /// The end that was decided, if one was.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// What `event`, at `now`, makes necessary.
    pub fn on(&mut self, event: Event, now: Instant) -> Decision {
        match event {
            Event::Cause(reason) => self.on_cause(reason, now),
            Event::Drained => self.end_drain(now, false),
            Event::Tick => match &self.ending {
                Some(ending) if now >= ending.drain_until => self.end_drain(now, false),
                _ => Decision::None,
            },
        }
    }

    fn on_cause(&mut self, reason: ShutdownReason, now: Instant) -> Decision {
        if is_signal(reason) {
            self.signals += 1;
        }
        let drain = self.drain_of(reason);
        let Some(ending) = &mut self.ending else {
            self.ending = Some(Ending {
                reason,
                drain_until: now + drain,
                may_write: reason != ShutdownReason::Displaced,
                over: false,
            });
            return if drain.is_zero() { self.end_drain(now, true) } else { Decision::Drain };
        };
        ending.may_write &= reason != ShutdownReason::Displaced;
        ending.drain_until = ending.drain_until.min(now + drain);
        let at_once = drain.is_zero() || (is_signal(reason) && self.signals > 1);
        if at_once { self.end_drain(now, true) } else { Decision::None }
    }

    fn end_drain(&mut self, now: Instant, at_once: bool) -> Decision {
        let Some(ending) = &mut self.ending else { return Decision::None };
        if ending.over {
            return Decision::None;
        }
        ending.over = true;
        if at_once {
            ending.drain_until = ending.drain_until.min(now);
        }
        Decision::End
    }

    fn drain_of(&self, reason: ShutdownReason) -> Duration {
        match reason {
            ShutdownReason::StopRequest
            | ShutdownReason::Sigterm
            | ShutdownReason::Sigint
            | ShutdownReason::Sighup
            | ShutdownReason::Idle => self.drain_timeout,
            ShutdownReason::Displaced => self.drain_timeout.min(DISPLACED_DRAIN),
            ShutdownReason::ServeError | ShutdownReason::VitalTask => Duration::ZERO,
        }
    }
}

fn is_signal(reason: ShutdownReason) -> bool {
    matches!(reason, ShutdownReason::Sigterm | ShutdownReason::Sigint | ShutdownReason::Sighup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DRAIN: Duration = Duration::from_secs(10);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_stop_drains_and_then_ends_and_may_write() {
        let start = Instant::now();
        let mut policy = Policy::new(DRAIN);
        assert_eq!(policy.on(Event::Tick, start), Decision::None);
        assert_eq!(policy.on(Event::Drained, start), Decision::None, "nothing was decided");
        assert_eq!(policy.on(Event::Cause(ShutdownReason::StopRequest), start), Decision::Drain);
        assert_eq!(policy.on(Event::Tick, after(start, 9)), Decision::None);
        assert_eq!(policy.on(Event::Tick, after(start, 10)), Decision::End);
        assert_eq!(policy.on(Event::Drained, after(start, 10)), Decision::None, "it ends once");
        let ending = policy.ending().unwrap();
        assert!(ending.may_write);
        assert_eq!(ending.watchdog(), after(start, 11));
    }

    #[test]
    fn displacement_during_a_drain_shortens_it_and_forbids_writing_but_keeps_the_reason() {
        let start = Instant::now();
        let mut policy = Policy::new(DRAIN);
        policy.on(Event::Cause(ShutdownReason::Sigterm), start);
        assert_eq!(policy.on(Event::Cause(ShutdownReason::Displaced), after(start, 1)), Decision::None);
        let ending = *policy.ending().unwrap();
        assert_eq!((ending.reason, ending.may_write), (ShutdownReason::Sigterm, false));
        assert_eq!(ending.drain_until, after(start, 3));
        assert_eq!(policy.on(Event::Cause(ShutdownReason::StopRequest), after(start, 2)), Decision::None);
        assert_eq!(policy.ending(), Some(&ending), "never the reverse");
    }

    #[test]
    fn only_a_second_signal_ends_at_once() {
        let start = Instant::now();
        let mut policy = Policy::new(DRAIN);
        policy.on(Event::Cause(ShutdownReason::StopRequest), start);
        assert_eq!(policy.on(Event::Cause(ShutdownReason::StopRequest), start), Decision::None);
        assert_eq!(
            policy.on(Event::Cause(ShutdownReason::Sigint), start),
            Decision::None,
            "the first signal"
        );
        assert_eq!(policy.on(Event::Cause(ShutdownReason::Sigterm), after(start, 1)), Decision::End);
        assert_eq!(policy.ending().unwrap().watchdog(), after(start, 2));
    }

    #[test]
    fn a_failed_service_does_not_drain() {
        for reason in [ShutdownReason::ServeError, ShutdownReason::VitalTask] {
            let mut policy = Policy::new(DRAIN);
            assert_eq!(policy.on(Event::Cause(reason), Instant::now()), Decision::End);
            assert_eq!(policy.ending().unwrap().reason.exit_status(), 1);
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        use ShutdownReason::{Displaced, Idle, ServeError, Sighup, Sigint, Sigterm, StopRequest, VitalTask};
        prop_oneof![
            proptest::sample::select(vec![
                StopRequest,
                Sigterm,
                Sigint,
                Sighup,
                Idle,
                Displaced,
                ServeError,
                VitalTask
            ])
            .prop_map(Event::Cause),
            Just(Event::Drained),
            Just(Event::Tick),
        ]
    }

    proptest! {
        /// Whatever the order: the deadline only comes nearer, the right to write is only lost, the reason stands, and the
        /// end is decided once.
        #[test]
        fn an_ending_only_tightens(events in proptest::collection::vec((any_event(), 0u64..3000), 1..30)) {
            let mut now = Instant::now();
            let mut policy = Policy::new(DRAIN);
            let mut ends = 0;
            for (event, millis) in events {
                now += Duration::from_millis(millis);
                let before = policy.ending().copied();
                let decision = policy.on(event, now);
                ends += u32::from(decision == Decision::End);
                if let (Some(before), Some(after)) = (before, policy.ending()) {
                    prop_assert!(after.drain_until <= before.drain_until);
                    prop_assert!(before.may_write || !after.may_write);
                    prop_assert_eq!(before.reason, after.reason);
                }
            }
            prop_assert!(ends <= 1);
        }
    }
}
