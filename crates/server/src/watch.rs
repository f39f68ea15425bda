//! How the keeper watches: file events where there are any, always with the poll, which is the authority.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aileron_discovery::protocol::control::WatcherView;
use aileron_discovery::{OwnerLock, StateDir, StateFile};

use crate::config::{Config, FileEvents};
use crate::sys::{Targets, Watcher};

/// The poll behind armed events: a backstop.
const ARMED_POLL: Duration = Duration::from_secs(5);

/// The poll where something cannot be watched.
const UNARMED_POLL: Duration = Duration::from_secs(1);

/// How often what could not be watched is tried again.
const REARM_PAUSE: Duration = Duration::from_secs(5);

/// The watches and the poll interval that goes with them.
#[derive(Debug)]
pub(crate) struct Watch {
    directory: PathBuf,
    /// The lock's, in the directory.
    name: String,
    records: [PathBuf; 2],
    wanted: FileEvents,
    fixed_interval: Option<Duration>,
    pub(crate) watcher: Option<Watcher>,
    missing: Vec<String>,
    /// A watch may be on something that is no longer in the path.
    pub(crate) stale: bool,
    /// Armed at least once.
    said: bool,
    tried: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(lock: &OwnerLock, config: &Config) -> Self {
        let dir: &StateDir = lock.state_dir();
        Self {
            directory: dir.root().to_owned(),
            name: dir.tool().file_name(StateFile::Lock),
            records: [dir.path(StateFile::Record), dir.path(StateFile::Pid)],
            wanted: config.file_events,
            fixed_interval: config.lock_poll_interval,
            watcher: None,
            missing: Vec::new(),
            stale: false,
            said: false,
            tried: None,
        }
    }

    /// Arms anew, for the path as it is now. Returns whether what is missing has changed.
    pub(crate) fn arm(&mut self, lock: &OwnerLock, now: Instant) -> bool {
        self.tried = Some(now);
        self.stale = false;
        let present = self.watcher.take();
        let (watcher, missing) = match self.wanted {
            FileEvents::Off => (None, vec!["file events are switched off".to_owned()]),
            FileEvents::On => match lock.watchable() {
                Ok(held) => Watcher::arm(present, &self.targets(&held)),
                // The watches that are there stay: each of them is as good as before.
                Err(error) => (present, vec![format!("cannot watch the held lock: {error}")]),
            },
        };
        self.watcher = watcher;
        let changed = !std::mem::replace(&mut self.said, true) || self.missing != missing;
        self.missing = missing;
        changed
    }

    fn targets<'a>(&'a self, lock: &'a File) -> Targets<'a> {
        Targets { lock, name: &self.name, directory: &self.directory, records: self.records.clone() }
    }

    /// Puts the watches on the record and the pid file as they are now.
    pub(crate) fn watch_records(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.watch_records(&self.records);
        }
    }

    /// When what is missing is tried once more.
    pub(crate) fn rearm_due(&self) -> Option<Instant> {
        let incomplete = self.wanted == FileEvents::On && !self.missing.is_empty();
        self.tried.filter(|_| incomplete).map(|tried| tried + REARM_PAUSE)
    }

    pub(crate) fn interval(&self) -> Duration {
        self.fixed_interval.unwrap_or(if self.missing.is_empty() { ARMED_POLL } else { UNARMED_POLL })
    }

    pub(crate) fn view(&self) -> WatcherView {
        let mode = if self.missing.is_empty() { "events" } else { "poll" };
        WatcherView {
            mode: mode.to_owned(),
            interval_ms: u64::try_from(self.interval().as_millis()).unwrap_or(u64::MAX),
            missing: self.missing.clone(),
            last_look_ms: 0,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.let_go();
        }
    }
}
