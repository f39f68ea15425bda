//! Having a daemon: what can be asked for, what comes of it, and what keeps it from coming.

use std::path::PathBuf;
use std::time::Duration;

use aileron_discovery::process::Elsewhere;
use aileron_discovery::{AcquireError, Deadline, HoldError, ProbeError, StateDir, StateDirError, Tool};

use crate::find::{Found, explicit};
use crate::launch::{Launch, LaunchError};
use crate::look::LookError;
use crate::start::Start;
use crate::version::VersionRule;

/// Whether a daemon may be started unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Autostart {
    /// Yes.
    Allowed,
    /// No: the named variable says so.
    Forbidden {
        /// Its name.
        variable: String,
    },
}

impl Autostart {
    /// What the tool's `PREFIX_NO_AUTOSTART` says: starts are allowed where it is unset, empty, or `0`, `false`, `no`, `off`.
    /// Whatever else it says counts as "no": an unwanted daemon is worse than a question.
    pub fn from_env(tool: &Tool) -> Self {
        match tool.env("NO_AUTOSTART") {
            Some(value) if says_no(&value.to_string_lossy()) => {
                Self::Forbidden { variable: tool.env_var("NO_AUTOSTART") }
            }
            _ => Self::Allowed,
        }
    }
}

/// Whether a value of `NO_AUTOSTART` that is not empty forbids.
fn says_no(value: &str) -> bool {
    !matches!(value.trim().to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off")
}

/// What a hold means to this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRule {
    /// Start nothing while it is set.
    Obey,
    /// Clear it: somebody asked for a start by name.
    Clear,
}

/// How a daemon is to be had.
#[derive(Clone, Debug)]
pub struct EnsureOptions {
    /// Whether one may be started.
    pub autostart: Autostart,
    /// Whether a hold is obeyed.
    pub hold: HoldRule,
    /// Which versions of a daemon will do. An older one that will not is drained and replaced, once, if it is idle.
    pub version: VersionRule,
}

/// Why a daemon whose version will not do is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// Requests are in flight.
    Busy,
    /// It is newer, or the two versions cannot be compared.
    NotOlder,
    /// No daemon may be started by this call, and so none replaced.
    StartsOff,
    /// It was replaced by this call already, and an old one is there again.
    Returned,
    /// It has not proved that it is the recorded one, or did not take the request to end.
    Unproved,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Busy => "it is busy",
            Self::NotOlder => "it is not an older one, which could be replaced",
            Self::StartsOff => "automatic starts are off",
            Self::Returned => "somebody starts it again and again",
            Self::Unproved => "it does not take the request to end",
        })
    }
}

/// A daemon was had.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ensured {
    /// `PREFIX_API_URL` names an address; nothing was looked at.
    Explicit(String),
    /// It was there, or another client had it started meanwhile.
    Found(Found),
    /// This call started it.
    Started {
        /// The daemon.
        daemon: Found,
        /// Why there was none.
        reason: StartReason,
        /// The permission bits the directory had, if it was readable by others and has been tightened to 0700.
        tightened_from: Option<u32>,
    },
}

/// Why a daemon had to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartReason {
    /// There was none.
    NotRunning,
    /// There was a record of one that is gone; why it was not believed.
    Stale(String),
    /// There was one of this older version, idle, which has ended.
    Replaced(String),
}

/// Why there is no daemon to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnsureError {
    /// The directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The lock cannot be looked at.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The start gate cannot be used.
    #[error("cannot use the start gate")]
    Gate(#[source] AcquireError),
    /// The hold cannot be read or cleared.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// `stop --hold` was said, and nobody said `start` since.
    #[error("not started: `{path}` holds automatic starts back")]
    OnHold {
        /// The hold.
        path: PathBuf,
    },
    /// Automatic starts are off.
    #[error("not started: {variable} is set")]
    AutostartOff {
        /// The variable.
        variable: String,
    },
    /// A daemon runs, and its version will not do.
    #[error("the daemon (pid {pid}) is version {theirs}, which version {ours} cannot use: {misfit}")]
    Incompatible {
        /// Its pid.
        pid: u32,
        /// Its version.
        theirs: String,
        /// The client's.
        ours: String,
        /// Why it was not replaced.
        misfit: Misfit,
    },
    /// The launch failed.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The lock is held and nobody that can be proved answers.
    #[error("the lock is held and no daemon answers: {why}")]
    Unresponsive {
        /// The recorded pid, if the process is proved to be the daemon.
        pid: Option<u32>,
        /// What was seen.
        why: String,
        /// How long it was tried.
        elapsed: Duration,
    },
    /// The lock is held by a daemon of another host, boot or namespace, which cannot be reached from here.
    #[error("a daemon runs elsewhere and cannot be reached from here")]
    Elsewhere {
        /// Which.
        elsewhere: Elsewhere,
        /// The recorded pid, there.
        pid: u32,
        /// The recorded host.
        host: String,
    },
    /// The deadline passed while a start is still in progress. Nothing was ended for it.
    #[error("a start is still in progress after {} ms ({step})", elapsed.as_millis())]
    StartInProgress {
        /// What is being waited for.
        step: &'static str,
        /// The process that is starting, if it is known.
        pid: Option<u32>,
        /// How long it was waited for.
        elapsed: Duration,
    },
    /// Daemons were launched again and again, and none stayed.
    #[error("launched {launches} daemons and none stayed: the last {why}")]
    NoneStayed {
        /// How many.
        launches: u32,
        /// What the last one did.
        why: String,
    },
    /// The state directory was deleted again and again.
    #[error("the state directory `{path}`, or what was started in it, went away again and again")]
    KeepsVanishing {
        /// The directory.
        path: PathBuf,
    },
}

impl From<LookError> for EnsureError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::StateDir(error) => Self::StateDir(error),
            LookError::Probe(error) => Self::Probe(error),
        }
    }
}

/// Finds the daemon, or has one launched and waits until it has proved that it is ready.
///
/// However many call this at once, one of them launches. A daemon that starts slowly is waited for, and never ended.
///
/// # Errors
///
/// Why there is none; see [`EnsureError`].
///
/// # Platform notes
///
/// Windows cannot hand the launch pipe on; there a launch fails and says so.
pub fn ensure_running(
    state_dir: &StateDir,
    launch: &Launch,
    options: &EnsureOptions,
    deadline: Deadline,
) -> Result<Ensured, EnsureError> {
    ensure_running_with(state_dir, &|| launch.clone(), options, deadline)
}

/// The same where it costs something to say how a daemon is launched: `launch` is asked when one is to be, and that is seldom.
///
/// # Errors
///
/// As for [`ensure_running`].
///
/// # Platform notes
///
/// As for [`ensure_running`].
pub fn ensure_running_with(
    state_dir: &StateDir,
    launch: &dyn Fn() -> Launch,
    options: &EnsureOptions,
    deadline: Deadline,
) -> Result<Ensured, EnsureError> {
    if let Some(url) = explicit(state_dir) {
        return Ok(Ensured::Explicit(url));
    }
    Start::new(state_dir, launch, options, deadline).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_a_plain_no_forbids_a_start() {
        for value in ["1", "true", "yes", "on", "please", "2", "nope", "\u{fffd}"] {
            assert!(says_no(value), "{value}");
        }
        for value in ["0", "false", "No", "OFF", " 0 "] {
            assert!(!says_no(value), "{value}");
        }
        assert_eq!(Autostart::from_env(&Tool::new("no-such-tool-here", "0.0.0")), Autostart::Allowed);
    }
}
