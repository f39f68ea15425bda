//! The record: published when the service is ready, restored when somebody damages it.

use std::time::{Duration, Instant};

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{Advertisement, Damage, PublishError, StateFile};

use super::Keeper;

/// One damaged file is an accident, mended at once; a little later, so that an editor's rename is not met halfway.
const AFTER_ONE: Duration = Duration::from_millis(200);

/// Several gone may be an `rm -rf` on its way to the lock: with 120,000 other files in the directory it removed the record
/// 1.4 s before the lock, and a record resurrected in between makes `rm` fail. So the directory must have been quiet first.
const AFTER_SEVERAL: Duration = Duration::from_secs(2);

/// After a failed restoration, which itself makes events in the directory.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What is known of the record's health.
#[derive(Debug)]
pub(crate) struct Mender {
    published: Option<Advertisement>,
    damaged: Option<Damaged>,
    /// A look at the record is due.
    check: bool,
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Damaged {
    extent: Damage,
    first: Instant,
    last_change: Instant,
}

impl Damaged {
    fn due(&self) -> Instant {
        match self.extent {
            Damage::Several => self.last_change + AFTER_SEVERAL,
            Damage::None | Damage::One => self.first + AFTER_ONE,
        }
    }
}

impl Mender {
    pub(crate) fn new() -> Self {
        Self { published: None, damaged: None, check: false, not_before: None }
    }

    pub(crate) fn published(&self) -> Option<&Advertisement> {
        self.published.as_ref()
    }

    /// Something happened in the directory, or a poll came round.
    pub(crate) fn noticed(&mut self, changed: bool, now: Instant) {
        self.check = true;
        if let Some(damaged) = &mut self.damaged
            && changed
        {
            damaged.last_change = now;
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let due = self.damaged.as_ref().map(Damaged::due)?;
        Some(self.not_before.map_or(due, |earliest| due.max(earliest)))
    }
}

impl Keeper {
    /// The first publication, which the start of the service waits for.
    pub(super) fn publish_first(&mut self, record: Advertisement, now: Instant) -> Result<(), PublishError> {
        if self.policy.ending().is_some() {
            return Err(PublishError::NotOwner { path: self.lock.ownership().lock_path().to_owned() });
        }
        self.lock.publish(&record).inspect_err(|_| {
            // A directory that is being removed fails in many ways; what it means is told by the lock alone.
            self.look(now);
        })?;
        self.mender.published = Some(record);
        self.shared.advance(aileron_discovery::protocol::control::DaemonState::Ready);
        self.shared.activity.touch();
        self.watch.watch_records();
        self.next_poll = self.next_poll.min(now + self.watch.interval());
        Ok(())
    }

    /// Looks at the record if there is reason to, and restores it when it is time to. Never while leaving, never while
    /// ownership is in doubt.
    pub(super) fn mend(&mut self, now: Instant) {
        if self.policy.ending().is_some() || self.second_look.is_some() {
            return;
        }
        if std::mem::take(&mut self.mender.check) {
            self.examine(now);
        }
        if self.mender.due().is_some_and(|due| now >= due) {
            self.mender.damaged = None;
            self.restore();
        }
    }

    fn examine(&mut self, now: Instant) {
        let Some(record) = &self.mender.published else { return };
        let extent = self.lock.damage(record);
        self.mender.damaged = match (extent, self.mender.damaged) {
            (Damage::None, _) => None,
            (extent, None) => Some(Damaged { extent, first: now, last_change: now }),
            (extent, Some(known)) => Some(Damaged { extent, ..known }),
        };
        if extent == Damage::None {
            self.set_fault(None);
            self.reopen_log();
        }
    }

    fn restore(&mut self) {
        let Some(record) = &self.mender.published else { return };
        let path = self.lock.state_dir().path(StateFile::Record);
        match self.lock.restore(record) {
            Ok(()) => {
                tracing::warn!(event = "restored", path = %path.display(), "restored the record");
                self.set_fault(None);
                self.mender.not_before = None;
                self.watch.watch_records();
            }
            // The next look says what became of us.
            Err(PublishError::NotOwner { .. }) => {}
            // Tried again at the next event or poll.
            Err(error) => {
                let fault = in_one_line(&error);
                self.set_fault(Some(fault));
                self.mender.not_before = Some(Instant::now() + AFTER_FAILURE);
                self.mender.check = true;
            }
        }
    }

    /// Remembers why the record is not as it should be, and says so when that changes.
    fn set_fault(&self, fault: Option<String>) {
        let mut known = self.shared.record_fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != fault {
            if let Some(fault) = &fault {
                tracing::error!(event = "record_fault", fault, "cannot restore the record");
            }
            *known = fault;
        }
    }

    /// A log that was deleted or moved away under a live owner is begun again.
    fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen_if_gone(&self.lock);
        }
    }
}
