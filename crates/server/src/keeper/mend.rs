//! The record: published when the service is ready, restored when somebody damages it.

use std::time::{Duration, Instant};

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{Advertisement, PublishError, StateFile};

use super::Keeper;
use super::wound::{Extent, Wound};

/// After a failed restoration, which itself makes events in the directory.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What is known of the health of the owner's files.
#[derive(Debug)]
pub(crate) struct Mender {
    published: Option<Advertisement>,
    wound: Option<Wound>,
    /// When the next look at the files is due.
    next_look: Option<Instant>,
    /// Nothing that happens has them looked at before.
    not_before: Option<Instant>,
}

impl Mender {
    pub(crate) fn new() -> Self {
        Self { published: None, wound: None, next_look: None, not_before: None }
    }

    pub(crate) fn published(&self) -> Option<&Advertisement> {
        self.published.as_ref()
    }

    /// Something happened, or a poll came round. While there is a wound its own time-table holds: a flood of events must not
    /// have the keeper look without end.
    pub(crate) fn noticed(&mut self, now: Instant) {
        if self.wound.is_none() {
            self.next_look = Some(self.not_before.map_or(now, |earliest| now.max(earliest)));
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.next_look
    }
}

impl Keeper {
    /// The first publication, which the start of the service waits for.
    pub(super) fn publish_first(
        &mut self,
        mut record: Advertisement,
        now: Instant,
    ) -> Result<Advertisement, PublishError> {
        if self.policy.ending().is_some() {
            return Err(PublishError::NotOwner { path: self.lock.ownership().lock_path().to_owned() });
        }
        // The service may have taken a larger one since the record was made.
        record.epoch = Some(self.lock.ownership().epoch());
        self.lock.publish(&record).inspect_err(|_| {
            // A directory that is being removed fails in many ways; what it means is told by the lock alone.
            self.look(now);
        })?;
        self.mender.published = Some(record.clone());
        self.shared.advance(aileron_discovery::protocol::control::DaemonState::Ready);
        self.shared.activity.touch();
        self.watch.watch_records();
        self.next_poll = self.next_poll.min(now + self.watch.interval());
        Ok(record)
    }

    /// Looks at the owner's files if there is reason to, and restores what is damaged when it is time to. Never while
    /// leaving, never while ownership is in doubt.
    pub(super) fn mend(&mut self, now: Instant) {
        if self.policy.ending().is_some() {
            self.mender.next_look = None;
            return;
        }
        if let Some(decided) = self.second_look {
            self.mender.next_look = self.mender.next_look.map(|due| due.max(decided));
            return;
        }
        if self.mender.next_look.is_none_or(|due| now < due) {
            return;
        }
        self.mender.next_look = None;
        self.follow_directory();
        // Before they are read: they may be other files than those that are watched, and what is written into them after they
        // were found whole is to be heard of.
        self.watch.watch_records();
        match self.damage() {
            None => {
                self.mender.wound = None;
                self.set_fault(None);
            }
            Some(extent) => self.treat(extent, now),
        }
    }

    /// An error leaves everything as it is: if it means a loss, the next look says so.
    fn follow_directory(&mut self) {
        match self.lock.follow_directory() {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(
                    event = "directory",
                    "another directory with the same lock stands at the path"
                );
            }
            Err(error) => tracing::debug!(error = in_one_line(&error), "cannot look at the directory"),
        }
    }

    /// How much of record, pid file and log is not as this owner left it, or would leave it now: a record that tells of an
    /// older epoch is mended like any other, and so not in the middle of a removal.
    pub(super) fn damage(&mut self) -> Option<Extent> {
        let epoch = self.lock.ownership().epoch();
        let record = self.mender.published.as_mut()?;
        record.epoch = Some(epoch);
        let log_gone = self.log.as_ref().is_some_and(|log| log.is_gone(&self.lock));
        match self.lock.damaged_files(record) + usize::from(log_gone) {
            0 => None,
            1 => Some(Extent::One),
            _ => Some(Extent::Several),
        }
    }

    fn treat(&mut self, extent: Extent, now: Instant) {
        let names = self.lock.count_names();
        let wound = self.mender.wound.get_or_insert_with(|| Wound::new(now));
        wound.look(extent, names, now);
        if !wound.may_be_mended(now) {
            self.mender.next_look = Some(wound.next_look(now));
            return;
        }
        self.mender.wound = None;
        if !self.restore() {
            self.mender.not_before = Some(now + AFTER_FAILURE);
            self.mender.noticed(now);
        }
    }

    /// Whether there is nothing more to do.
    fn restore(&mut self) -> bool {
        let Some(record) = &self.mender.published else { return true };
        let path = self.lock.state_dir().path(StateFile::Record);
        if let Some(log) = &self.log {
            log.reopen_if_gone(&self.lock);
        }
        if self.lock.damaged_files(record) == 0 {
            return true;
        }
        match self.lock.restore(record) {
            Ok(()) => {
                tracing::warn!(event = "restored", path = %path.display(), "wrote the record anew");
                self.set_fault(None);
                self.watch.watch_records();
                true
            }
            // The next look says what became of us.
            Err(PublishError::NotOwner { .. }) => true,
            Err(error) => {
                self.set_fault(Some(in_one_line(&error)));
                false
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
}
