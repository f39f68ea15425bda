//! The end: withdraw, say why, wait for the runtime until the watchdog, free the lock last.

use std::time::Instant;

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{ExitRecord, PublishError};

use super::{Keeper, Kept};
use crate::policy::Ending;
use crate::shared::{Message, Phase};
use crate::sys;

impl Keeper {
    /// The drain is over. Returns when the runtime is gone, or not at all.
    pub(super) fn finish(mut self) -> Kept {
        let ending = *self.policy.ending().expect("an end was decided");
        self.shared.phase.send_replace(Phase::Ended);
        if ending.may_write {
            self.withdraw(&ending);
        }
        while !self.runtime_gone {
            let Some(left) =
                ending.watchdog().checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                self.end_by_force(&ending)
            };
            self.inbox.bell.wait(None, left);
            self.runtime_gone |=
                self.inbox.take().iter().any(|message| matches!(message, Message::RuntimeGone));
        }
        say_ended(&ending);
        Kept { reason: Some(ending.reason) }
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
        };
        // Each asks for ownership again: a loss since the decision leaves everything as it is.
        for done in [self.lock.withdraw(), self.lock.record_exit(&exit)] {
            match done {
                Ok(()) => {}
                Err(PublishError::NotOwner { .. }) => {
                    tracing::info!("not the owner any more: files left alone");
                }
                Err(error) => tracing::warn!(error = in_one_line(&error), "cannot leave the directory tidy"),
            }
        }
    }

    /// The watchdog: an event stream, a handler that blocks, a reader that does not read are no reason to stay.
    fn end_by_force(self, ending: &Ending) -> ! {
        let status = ending.reason.exit_status();
        tracing::warn!(
            event = "watchdog",
            in_flight = self.shared.activity.in_flight(),
            "ended with work still open"
        );
        say_ended(ending);
        // Freed before the process goes: its descriptors close only after its last thread is dead.
        drop(self.lock);
        sys::exit_now(status)
    }
}

fn say_ended(ending: &Ending) {
    let (reason, exit_status) = (ending.reason.name(), ending.reason.exit_status());
    tracing::info!(event = "ended", reason, exit_status, "ended");
}
