//! The keeper: watches, receives, decides, enforces. Serves nobody, and so waits for nobody.
//!
//! It owns the lock; whatever is written in the state directory after the start is written here, by the one thread that
//! also learns first that it must not be. The watchdog is this thread too: it is armed when an end is decided, and what is
//! still open when it fires goes down with the process.

mod ending;
mod mend;
mod term;
mod wound;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aileron_discovery::{OwnerLock, SECOND_LOOK, Verdict, failpoint};
use serde_json::json;

use self::mend::Mender;
use self::term::Term;
use crate::config::Config;
use crate::log::LogFile;
use crate::policy::{Decision, Event, Policy};
use crate::reason::ShutdownReason;
use crate::shared::{Inbox, Message, Phase, Shared};
use crate::sys;
use crate::sys::Signals;
use crate::watch::Watch;

/// How often a lock that was nowhere is looked for while looking fails. Events shorten it.
const LOOK_IN_DOUBT: Duration = Duration::from_secs(1);

/// No look follows another any sooner, whatever the clock says.
const LEAST_WAIT: Duration = Duration::from_micros(20);

pub(crate) struct Keeper {
    lock: OwnerLock,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    policy: Policy,
    watch: Watch,
    mender: Mender,
    log: Option<LogFile>,
    idle_timeout: Option<Duration>,
    /// When the second look at a lock that is nowhere is due.
    second_look: Option<Instant>,
    next_poll: Instant,
    doubted: bool,
    term: Term,
    log_is_full: bool,
    runtime_gone: bool,
    _signals: Signals,
}

/// How the keeper's work came to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    /// The start was given up before the record was published; whoever called `run` has the reason.
    GivenUp,
    /// Everything is closed.
    Ended(ShutdownReason),
}

/// The time for what is still open is over.
#[derive(Clone, Copy, Debug)]
struct Overdue(ShutdownReason);

impl Keeper {
    /// Starts the thread. From here on signals and losses are heard.
    ///
    /// # Errors
    ///
    /// When a handler or the thread cannot be had.
    pub(crate) fn start(
        lock: OwnerLock,
        shared: Arc<Shared>,
        config: &Config,
        log: Option<LogFile>,
    ) -> std::io::Result<JoinHandle<Kept>> {
        let inbox = Arc::clone(&shared.inbox);
        let signals = Signals::install(&inbox.bell)?;
        let now = Instant::now();
        let keeper = Self {
            policy: Policy::new(config.drain_timeout),
            watch: Watch::new(&lock, config),
            mender: Mender::new(),
            log,
            idle_timeout: config.idle_timeout,
            second_look: None,
            next_poll: now,
            doubted: false,
            term: Term::Unbroken,
            log_is_full: false,
            runtime_gone: false,
            _signals: signals,
            lock,
            shared,
            inbox,
        };
        std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            sys::wake_punctually();
            keeper.keep()
        })
    }

    /// Keeps to the end. A keeper that panics can neither watch nor end the daemon any more: the process must not go on.
    fn keep(mut self) -> Kept {
        let ran = catch_unwind(AssertUnwindSafe(|| self.run()));
        // Nobody reads it any more: whoever waits for an answer is to know.
        self.inbox.close();
        match ran {
            Ok(Ok(kept)) => kept,
            Ok(Err(Overdue(reason))) => self.exit(reason),
            Err(_) => self.end_after_panic(),
        }
    }

    fn run(&mut self) -> Result<Kept, Overdue> {
        self.arm(Instant::now());
        self.look(Instant::now());
        loop {
            let timeout = self.next_due().saturating_duration_since(Instant::now());
            let woken = self.inbox.bell.wait(self.watch.watcher.as_mut(), timeout);
            let now = Instant::now();
            let polled = now >= self.next_poll;
            if woken.events.any || polled || self.second_look.is_some_and(|due| now >= due) {
                self.look(now);
                self.mender.noticed(now);
            }
            if woken.events.overflowed {
                tracing::warn!(event = "overflow", "more file events than the kernel keeps: some are lost");
            }
            if woken.events.moved {
                self.term = Term::Broken;
            }
            if polled {
                self.next_poll = now + self.watch.interval();
            }
            if !woken.signals.is_empty() {
                // A displaced daemon that is told to end before it has noticed is displaced all the same.
                self.look(now);
            }
            for reason in woken.signals {
                self.cause(reason, now);
            }
            for message in self.inbox.take() {
                self.receive(message, now);
            }
            self.watch.stale |= woken.events.rearm || self.watch.rearm_due().is_some_and(|due| now >= due);
            // Not while the path is in doubt: there is nothing to put a watch on, and the lock itself is still watched.
            if self.watch.stale && self.policy.ending().is_none() && self.second_look.is_none() {
                self.arm(now);
                // What happened before the new watches were in place is seen now or never.
                self.look(now);
            }
            self.rotate_log();
            self.renew_broken_term(now);
            self.mend(now);
            self.check_idle(now);
            self.decide(Event::Tick, now);
            if self.runtime_gone && self.policy.ending().is_none() {
                if self.mender.published().is_none() {
                    return Ok(Kept::GivenUp);
                }
                // A panic between publication and service: what was advertised has to be withdrawn.
                self.cause(ShutdownReason::ServeError, now);
            }
            if self.policy.ending().is_some_and(|ending| ending.over) {
                return self.finish();
            }
        }
    }

    fn receive(&mut self, message: Message, now: Instant) {
        match message {
            Message::StopRequested => {
                failpoint!("stop_accepted");
                self.look(now);
                self.cause(ShutdownReason::StopRequest, now);
            }
            Message::LookNow => self.look(now),
            Message::Publish(record, answer) => {
                let published = self.publish_first(*record, now);
                if answer.send(published).is_err() {
                    tracing::debug!("nobody waits for the publication any more");
                }
            }
            Message::RenewEpoch(above, answer) => {
                let renewed = self.renew_epoch(Some(above), now);
                if answer.send(renewed).is_err() {
                    tracing::debug!("nobody waits for the epoch any more");
                }
            }
            Message::IdleConfirmed => self.cause(ShutdownReason::Idle, now),
            Message::IdleRefuted => {
                self.shared.activity.touch();
                if self.policy.ending().is_none() {
                    self.shared.phase.send_replace(Phase::Serving);
                }
            }
            Message::Drained => self.decide(Event::Drained, now),
            Message::ServeFailed(why) => {
                tracing::error!(event = "serve_failed", why, "cannot serve any more");
                self.cause(ShutdownReason::ServeError, now);
            }
            // A task that listens for the drain is right to end with it.
            Message::VitalTaskEnded(_) if self.policy.ending().is_some() => {}
            Message::VitalTaskEnded(task) => {
                tracing::error!(event = "vital_task_ended", task, "a vital task ended");
                self.cause(ShutdownReason::VitalTask, now);
            }
            Message::Pulse => self.shared.notifier.alive(),
            Message::LogIsFull => self.log_is_full = true,
            Message::RuntimeGone => {
                self.runtime_gone = true;
                self.decide(Event::Drained, now);
            }
        }
    }

    /// Am I still the daemon?
    fn look(&mut self, now: Instant) {
        let mut doubt = None;
        let verdict = self.lock.ownership().verify_noting(|error| doubt = Some(error.to_string()));
        let held = self.lock.ownership().lock_id();
        self.shared.last_look.store(self.shared.uptime_ms(), Ordering::Release);
        if let Some(error) = doubt {
            if !std::mem::replace(&mut self.doubted, true) {
                tracing::warn!(event = "doubt", %held, error, "cannot look at the lock; the last answer stays in force");
            }
            self.second_look = self.second_look.map(|due| if now < due { due } else { now + LOOK_IN_DOUBT });
            return;
        }
        self.doubted = false;
        match verdict {
            Verdict::Owner => {
                if self.second_look.take().is_some() {
                    tracing::info!(event = "owner_again", %held, "the lock is back at the path");
                    self.shared.events.tell("owner_again", &json!({}));
                    self.watch.stale = true;
                }
            }
            Verdict::Suspect => {
                if self.second_look.is_none() {
                    tracing::warn!(event = "suspect", %held, "nothing stands at the lock's path; looking again in 100 ms");
                    self.shared.events.tell("suspect", &json!({}));
                }
                // Events in between do not put it off. One that is due and has not decided is no reason to look without end.
                let due = self.lock.ownership().second_look_due().unwrap_or(now + SECOND_LOOK);
                self.second_look = Some(due.max(now + LEAST_WAIT));
            }
            Verdict::Displaced(displacement) => {
                self.second_look = None;
                let known = self.policy.ending().is_some_and(|ending| !ending.may_write);
                if !known {
                    let at_path =
                        displacement.at_path.map_or_else(|| "nothing".to_owned(), |id| id.to_string());
                    tracing::warn!(event = "displaced", %held, at_path, "{displacement}");
                    self.cause(ShutdownReason::Displaced, now);
                }
            }
        }
    }

    fn cause(&mut self, reason: ShutdownReason, now: Instant) {
        self.decide(Event::Cause(reason), now);
    }

    fn decide(&mut self, event: Event, now: Instant) {
        match self.policy.on(event, now) {
            Decision::None => {}
            Decision::Drain | Decision::End => self.begin_drain(),
        }
    }

    /// Tells the runtime and the listeners, once.
    fn begin_drain(&mut self) {
        let Some(ending) = self.policy.ending() else { return };
        let told = self.shared.phase.send_if_modified(|phase| {
            let begins = *phase < Phase::Draining;
            if begins {
                *phase = Phase::Draining;
            }
            begins
        });
        if told {
            let reason = ending.reason.name();
            self.shared.advance(aileron_discovery::protocol::control::DaemonState::Draining);
            tracing::info!(event = "draining", reason, "draining");
            self.shared.notifier.stopping(ending.reason);
            self.shared.events.tell("draining", &json!({ "reason": reason }));
            self.shared.events.close();
        }
    }

    fn check_idle(&mut self, now: Instant) {
        let due = self.idle_due();
        if due.is_some_and(|due| now >= due) {
            self.shared.phase.send_if_modified(|phase| {
                let ask = *phase == Phase::Serving;
                if ask {
                    *phase = Phase::IdleCheck;
                }
                ask
            });
        }
    }

    /// When the idle time-out would be over; `None` while it is off, in use, already asked about, or ending.
    fn idle_due(&self) -> Option<Instant> {
        let timeout = self.idle_timeout?;
        if self.mender.published().is_none() || *self.shared.phase.borrow() != Phase::Serving {
            return None;
        }
        // In use: the end of the use is not announced, so it is looked for again when it could matter at the earliest.
        let since = self.shared.activity.idle_since().unwrap_or_else(Instant::now);
        Some(since + timeout)
    }

    fn next_due(&self) -> Instant {
        let ending = self.policy.ending().map(|ending| ending.drain_until);
        // While ending or in doubt nothing is armed anew, so that is nothing to wake up for.
        let settled = ending.is_none() && self.second_look.is_none();
        let rearm = self.watch.rearm_due().filter(|_| settled);
        [ending, rearm, self.second_look, self.mender.due(), self.idle_due()]
            .into_iter()
            .flatten()
            .fold(self.next_poll, Instant::min)
    }

    fn arm(&mut self, now: Instant) {
        let changed = self.watch.arm(&self.lock, now);
        let view = self.watch.view();
        if changed {
            let (mode, interval_ms, missing) = (&view.mode, view.interval_ms, view.missing.join("; "));
            tracing::info!(event = "watching", mode, interval_ms, missing, "watching the lock");
        }
        self.next_poll = self.next_poll.min(now + self.watch.interval());
        *self.shared.watcher.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = view;
    }

    /// Not while something is damaged: it may be an `rm -rf` that is under way, and a new name would make it fail.
    fn rotate_log(&mut self) {
        if self.log_is_full
            && self.damage().is_none()
            && let Some(log) = &self.log
        {
            self.log_is_full = false;
            log.rotate(&self.lock);
        }
    }
}
