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
    lock: Option<File>,
    directory: PathBuf,
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
            lock: lock.watchable().ok(),
            directory: dir.root().to_owned(),
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
    pub(crate) fn arm(&mut self, now: Instant) -> bool {
        self.tried = Some(now);
        self.stale = false;
        let present = self.watcher.take();
        let (watcher, missing) = match (&self.lock, self.wanted) {
            (_, FileEvents::Off) => (None, vec!["file events are switched off".to_owned()]),
            (None, FileEvents::On) => (None, vec!["no descriptor left to watch the lock with".to_owned()]),
            (Some(lock), FileEvents::On) => Watcher::arm(present, &self.targets(lock)),
        };
        self.watcher = watcher;
        let changed = !std::mem::replace(&mut self.said, true) || self.missing != missing;
        self.missing = missing;
        changed
    }

    /// Puts the watches on the record and the pid file as they are now.
    pub(crate) fn watch_records(&self) {
        if let (Some(watcher), Some(lock)) = (&self.watcher, &self.lock) {
            watcher.watch_records(&self.targets(lock));
        }
    }

    /// Whether it is time to try once more to place what is missing.
    pub(crate) fn should_rearm(&self, now: Instant) -> bool {
        self.wanted == FileEvents::On
            && !self.missing.is_empty()
            && self.tried.is_none_or(|tried| now.duration_since(tried) >= REARM_PAUSE)
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

    fn targets<'a>(&'a self, lock: &'a File) -> Targets<'a> {
        Targets { lock, directory: &self.directory, records: self.records.clone() }
    }
}
