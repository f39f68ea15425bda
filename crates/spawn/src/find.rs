//! Is there a daemon, and where?

use std::time::Duration;

use aileron_discovery::process::{self, Elsewhere};
use aileron_discovery::protocol::control::DaemonState;
use aileron_discovery::{Advertisement, Deadline, InstanceId, ProbeError, StateDir, StateDirError};

use crate::look::{Held, Look, LookError, look};

/// Longer than anybody waits for a start, unless told to.
const LONG: Duration = Duration::from_mins(1);

/// A daemon that answered, and with [`proved`](Self::proved) one that is the record's.
#[derive(Clone, Debug)]
pub struct Found {
    record: Box<Advertisement>,
    /// `None`: a reference daemon, which proves nothing.
    state: Option<DaemonState>,
}

impl Found {
    pub(crate) fn new(record: Advertisement, state: Option<DaemonState>) -> Self {
        Self { record: Box::new(record), state }
    }

    pub(crate) fn into_record(self) -> Box<Advertisement> {
        self.record
    }

    /// Its record.
    pub fn record(&self) -> &Advertisement {
        &self.record
    }

    /// What it said it is doing.
    pub fn state(&self) -> DaemonState {
        self.state.unwrap_or(DaemonState::Ready)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.record.url.to_string()
    }

    /// Its pid, in its own pid namespace.
    pub fn pid(&self) -> u32 {
        self.record.pid
    }

    /// Its instance; a reference daemon has none.
    pub fn instance(&self) -> Option<&InstanceId> {
        self.record.instance.as_ref()
    }

    /// Whether it proved its instance.
    pub fn proved(&self) -> bool {
        self.state.is_some()
    }
}

/// What was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// `PREFIX_API_URL` names an address; nothing was looked at.
    Explicit(String),
    /// A daemon.
    Found(Found),
    /// Nobody holds the lock.
    NotRunning {
        /// Why the record, if there is one, is stale.
        stale: Option<String>,
    },
    /// This tool's daemon holds the lock and has not advertised itself yet.
    Starting {
        /// Its pid.
        pid: u32,
    },
    /// This tool's daemon holds the lock, has been there for longer than a start takes, and there is no usable record of it.
    Unadvertised {
        /// Its pid.
        pid: u32,
        /// How long it has been there, and what is the matter with the record.
        why: String,
    },
    /// The lock is held and nobody that can be proved answers.
    Unresponsive {
        /// The recorded pid, if the process is proved to be the daemon. What else the record names is in `why`.
        pid: Option<u32>,
        /// What was seen.
        why: String,
        /// How long it was tried.
        elapsed: Duration,
    },
    /// The lock is held, and the record is of another host, boot or namespace.
    Elsewhere {
        /// Which.
        elsewhere: Elsewhere,
        /// The recorded pid, there.
        pid: u32,
        /// The recorded host.
        host: String,
    },
}

/// Why it could not be looked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The lock cannot be looked at.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl From<LookError> for FindError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::StateDir(error) => Self::StateDir(error),
            LookError::Probe(error) => Self::Probe(error),
        }
    }
}

/// Looks for the daemon of a directory. Takes no lock, writes nothing, needs read access only.
///
/// # Errors
///
/// When the directory is refused or its lock cannot be looked at. A bad record is no error.
pub fn find(state_dir: &StateDir, deadline: Deadline) -> Result<Finding, FindError> {
    if let Some(url) = explicit(state_dir) {
        return Ok(Finding::Explicit(url));
    }
    find_here(state_dir, deadline)
}

/// The same for this very directory, whatever `PREFIX_API_URL` says.
///
/// # Errors
///
/// As for [`find`].
pub fn find_here(state_dir: &StateDir, deadline: Deadline) -> Result<Finding, FindError> {
    Ok(match look(state_dir, &deadline)? {
        Look::Found(found) => Finding::Found(found),
        Look::Nobody { stale } => Finding::NotRunning { stale },
        Look::Held(held) => classify(state_dir, &held, deadline.elapsed()),
    })
}

/// The address that the tool's `API_URL` variable names, which short-cuts everything.
pub(crate) fn explicit(state_dir: &StateDir) -> Option<String> {
    state_dir.tool().env("API_URL").map(|url| url.to_string_lossy().into_owned())
}

/// Who has been there for long is not called starting: most likely it was ready long ago, and something keeps it from writing
/// its record (a full file system, a directory that somebody keeps locked).
fn unadvertised(pid: u32, age: Option<Duration>, record: &str) -> Finding {
    match age {
        Some(age) if age >= LONG => {
            let why = format!(
                "{record}; pid {pid}, which holds the lock, has been up for {} s: it starts very slowly, or cannot write its \
                 record, and its log says which",
                age.as_secs()
            );
            Finding::Unadvertised { pid, why }
        }
        _ => Finding::Starting { pid },
    }
}

/// Who keeps the lock without being found. Reads the process table, and is asked only where the answer matters.
pub(crate) fn classify(state_dir: &StateDir, held: &Held, elapsed: Duration) -> Finding {
    if let Some(record) = &held.record
        && process::prove_recorded(record, held.lock).is_ok()
    {
        return Finding::Unresponsive { pid: Some(record.pid), why: held.why.clone(), elapsed };
    }
    // Before the record is asked where it is from: after a reboot the old record is of another boot until the daemon that
    // is just starting here has replaced it.
    let holders = process::find_holders(state_dir.tool()).unwrap_or_default();
    if let Some(holder) = holders.iter().find(|holder| holder.lock.file == held.lock) {
        return unadvertised(holder.process.pid, holder.process.age(), &held.why);
    }
    if let Some(record) = &held.record
        && let Some(elsewhere) = Elsewhere::of(record)
    {
        return Finding::Elsewhere { elsewhere, pid: record.pid, host: record.host.clone() };
    }
    let why = match &held.record {
        Some(record) => format!("{}; its record names pid {}, which is not proved", held.why, record.pid),
        None => held.why.clone(),
    };
    Finding::Unresponsive { pid: None, why, elapsed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_been_there_for_minutes_is_not_starting() {
        for age in [None, Some(Duration::ZERO), Some(LONG / 2)] {
            assert!(matches!(unadvertised(7, age, ""), Finding::Starting { pid: 7 }), "{age:?}");
        }
        let found = unadvertised(7, Some(3 * LONG), "there is no record");
        let Finding::Unadvertised { pid: 7, why } = found else { panic!("{found:?}") };
        assert!(why.contains("there is no record") && why.contains("180 s"), "{why}");
    }
}
