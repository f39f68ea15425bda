//! How the keeper watches: file events where there are any, always with the poll, which is the authority.

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
        let (watcher, missing) = match (self.wanted, lock.watchable()) {
            (FileEvents::Off, _) => (None, vec!["file events are switched off".to_owned()]),
            (FileEvents::On, Ok(held)) => {
                let targets =
                    Targets { lock: &held, directory: &self.directory, records: self.records.clone() };
                Watcher::arm(present, &targets)
            }
            // The watches that are there stay: each of them is as good as before.
            (FileEvents::On, Err(error)) => (present, vec![format!("cannot watch the held lock: {error}")]),
        };
        self.watcher = watcher;
        let changed = !std::mem::replace(&mut self.said, true) || self.missing != missing;
        self.missing = missing;
        changed
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
