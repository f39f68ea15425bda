//! The end: withdraw, say why, wait for the runtime until the watchdog, free the lock last.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{ExitRecord, PublishError, failpoint};

use super::{Keeper, Kept, Overdue};
use crate::ShutdownReason;
use crate::policy::{Ending, Event};
use crate::shared::{Message, Phase};
use crate::sys;

impl Keeper {
    /// The drain is over. Returns when the runtime is gone, or when it is time to go without it.
    pub(super) fn finish(&mut self) -> Result<Kept, Overdue> {
        let ending = *self.policy.ending().expect("an end was decided");
        failpoint!("drained");
        self.shared.phase.send_replace(Phase::Ended);
        if ending.may_write {
            self.withdraw(&ending);
        }
        while !self.runtime_gone {
            let Some(left) =
                ending.watchdog().checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                self.say_overdue();
                say_ended(&ending);
                return Err(Overdue(ending.reason));
            };
            self.inbox.bell.wait(None, left);
            self.runtime_gone |=
                self.inbox.take().iter().any(|message| matches!(message, Message::RuntimeGone));
        }
        say_ended(&ending);
        Ok(Kept::Ended(ending.reason))
    }

    fn withdraw(&self, ending: &Ending) {
        let exit = ExitRecord {
            schema: aileron_discovery::protocol::SCHEMA,
            reason: ending.reason.name().to_owned(),
            exit_status: ending.reason.exit_status(),
            version: self.lock.state_dir().tool().version().to_owned(),
            pid: std::process::id(),
            at: crate::log::now(),
            uptime_ms: self.shared.uptime_ms(),
            epoch: Some(self.lock.ownership().epoch()),
        };
        // It asks for ownership again: a loss since the decision leaves everything as it is.
        match self.lock.withdraw(&exit) {
            Ok(()) => {}
            Err(PublishError::NotOwner { .. }) => tracing::info!("not the owner any more: files left alone"),
            Err(error) => tracing::warn!(error = in_one_line(&error), "cannot leave the directory tidy"),
        }
    }

    /// Withdraws if this is still the owner, and ends the process. Whatever end was under way, this is the reason now.
    pub(super) fn end_after_panic(mut self) -> ! {
        self.policy.on(Event::Cause(ShutdownReason::VitalTask), Instant::now());
        let decided = *self.policy.ending().expect("a cause decides an end");
        let ending = Ending { reason: ShutdownReason::VitalTask, ..decided };
        let withdraw = || {
            if ending.may_write {
                self.withdraw(&ending);
            }
        };
        let tell = || {
            tracing::error!(event = "ended", reason = "vital_task", exit_status = 1, "the keeper panicked");
        };
        // Each on its own: whatever panicked, an embedder's subscriber perhaps, may do so again.
        for step in [&withdraw as &dyn Fn(), &tell] {
            if catch_unwind(AssertUnwindSafe(step)).is_err() { /* the next one is tried all the same */ }
        }
        self.exit(ShutdownReason::VitalTask)
    }

    /// The watchdog: an event stream, a handler that blocks, a reader that does not read are no reason to stay.
    fn say_overdue(&self) {
        let in_flight = self.shared.activity.in_flight();
        tracing::warn!(event = "watchdog", in_flight, "ended with work still open");
    }

    /// Ends the process. The lock is freed before: the process's descriptors close only after its last thread is dead.
    pub(super) fn exit(self, reason: ShutdownReason) -> ! {
        let Self { lock, watch, .. } = self;
        drop(lock);
        drop(watch);
        sys::exit_now(reason.exit_status())
    }
}

fn say_ended(ending: &Ending) {
    let (reason, exit_status) = (ending.reason.name(), ending.reason.exit_status());
    tracing::info!(event = "ended", reason, exit_status, "ended");
}
