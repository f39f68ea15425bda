//! Stopping the daemon, and having it stopped when this returns.

use std::io;
use std::time::Duration;

use aileron_discovery::process::{self, Holder, Refusal};
use aileron_discovery::{
    AcquireError, Advertisement, Deadline, FileId, GateError, Hold, HoldError, LockProbe, ProbeError,
    Reading, StartGate, StateDir, StateDirError, StateFile, failpoint, file_identity, probe_lock,
};

use crate::look::prove;
use crate::owner::Owner;
use crate::wait::Backoff;

/// How often the directory may be deleted while its gate is being passed.
const REMAKES: u32 = 20;

/// Whether the daemon is killed at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Never.
    Never,
    /// If it has not ended by then.
    AtDeadline,
}

/// Whether a hold is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// The next client may start a daemon again.
    LeaveStartsOn,
    /// None may until somebody says `start`.
    Hold,
}

/// How to stop.
#[derive(Clone, Copy, Debug)]
pub struct StopOptions {
    /// Whether to kill.
    pub force: Force,
    /// Whether to hold.
    pub on_stop: OnStop,
}

/// What was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The request was enough.
    Request,
    /// It took `SIGTERM`.
    Sigterm,
    /// It took `SIGKILL`.
    Sigkill,
}

/// What became of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// There was none.
    NotRunning,
    /// It has ended: the process is gone, its port closed, the lock free.
    Stopped {
        /// Its pid.
        pid: u32,
        /// What it took.
        how: How,
    },
}

/// The result of a stop.
#[derive(Debug)]
pub struct Stopped {
    /// What became of the owner.
    pub outcome: StopOutcome,
    /// Daemons that once were this directory's and still live; nothing was done to them.
    pub orphans: Vec<Holder>,
}

/// Why nothing was stopped, or not for certain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// The directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The lock cannot be looked at.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The start gate cannot be used.
    #[error("cannot use the start gate")]
    Gate(#[source] AcquireError),
    /// Another client holds the gate: a start or a stop is in progress.
    #[error("the start gate was held by another client for {} ms", elapsed.as_millis())]
    GateBusy {
        /// How long it was waited for.
        elapsed: Duration,
    },
    /// The hold cannot be set.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The lock is held, nobody took the request, and no process is proved to be the daemon, so none was sent a signal.
    #[error("no signal was sent: whoever holds the lock is not proved to be the recorded daemon")]
    Unproved {
        /// Why the recorded process was not.
        #[source]
        refusal: Refusal,
    },
    /// It has not ended by the deadline.
    #[error("the daemon (pid {pid}) has not ended after {} ms", elapsed.as_millis())]
    StillRunning {
        /// Its pid.
        pid: u32,
        /// How long it was waited for.
        elapsed: Duration,
    },
    /// It has ended, and its port is still open: a process that it started may have it.
    #[error("the daemon (pid {pid}) has ended, and {address} still accepts connections")]
    PortOpen {
        /// Its pid.
        pid: u32,
        /// Its address.
        address: std::net::SocketAddr,
    },
    /// It took the request, and neither its process nor the lock that it held can be looked at: it may be draining.
    #[error(
        "the daemon took the request, and whether it has ended cannot be known: neither its process nor the lock that it held at `{lock}` can be looked at"
    )]
    Unseen {
        /// The lock.
        lock: std::path::PathBuf,
        /// Why its process was not proved.
        #[source]
        refusal: Refusal,
    },
    /// A signal could not be sent.
    #[error("cannot signal process {pid}")]
    Signal {
        /// Its pid.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
}

/// Stops the owner. Holds the start gate throughout, so that nobody starts another meanwhile; starts nothing.
///
/// # Errors
///
/// When it cannot be said that the daemon has ended; see [`StopError`].
pub fn stop(state_dir: &StateDir, options: StopOptions, deadline: Deadline) -> Result<Stopped, StopError> {
    let gate = match options.on_stop {
        OnStop::LeaveStartsOn => match pass_gate(state_dir, &deadline) {
            // Where nothing can be written (a read-only mount) nothing can be started either: the lock alone tells.
            Err(StopError::Gate(error @ AcquireError::Io { .. })) => match owner(state_dir, &deadline)? {
                None => None,
                // Who is kept from the gate by its mode is so with every other client of the same user: nobody starts one.
                Some(_) if error.is_denied() && is_proved(state_dir, &deadline) => Some(None),
                Some(_) => return Err(StopError::Gate(error)),
            },
            passed => passed?.map(Some),
        },
        OnStop::Hold => Some(Some(pass_gate_making(state_dir, &deadline, Hold::set)?.0)),
    };
    failpoint!("stop_begun");
    let owner = match &gate {
        Some(_) => owner(state_dir, &deadline)?,
        None => None,
    };
    let outcome = match owner {
        Some(lock) => Owner::find(state_dir, lock).stop(state_dir, options.force, &deadline)?,
        None => StopOutcome::NotRunning,
    };
    Ok(Stopped { outcome, orphans: orphans(state_dir) })
}

/// The lock that somebody holds. One that may not be looked at is held if there is a daemon that is proved, for a handshake is
/// answered by the owner only.
pub(crate) fn owner(state_dir: &StateDir, deadline: &Deadline) -> Result<Option<FileId>, StopError> {
    match probe_lock(state_dir) {
        Ok(LockProbe::Held(lock)) => Ok(Some(lock)),
        Ok(LockProbe::Absent | LockProbe::Free(_)) => Ok(None),
        Err(error) if error.is_denied() && is_proved(state_dir, deadline) => {
            file_identity(&state_dir.path(StateFile::Lock)).map(Some).or(Err(error.into()))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_proved(state_dir: &StateDir, deadline: &Deadline) -> bool {
    matches!(Advertisement::read(state_dir), Ok(Reading::Present(record))
        if matches!(prove(state_dir, &record, deadline), Ok(Some(_))))
}

pub(crate) fn orphans(state_dir: &StateDir) -> Vec<Holder> {
    process::orphans_of(state_dir).unwrap_or_default()
}

/// Makes the directory where there is none, and does under its gate what has to outlast an `rm -rf` at the wrong moment. Returns
/// the mode that the directory had too, if it has been tightened.
pub(crate) fn pass_gate_making(
    state_dir: &StateDir,
    deadline: &Deadline,
    under: impl Fn(&StartGate) -> Result<(), HoldError>,
) -> Result<(StartGate, Option<u32>), StopError> {
    let (mut remakes, mut tightened_from) = (0, None);
    loop {
        tightened_from = state_dir.create()?.or(tightened_from);
        if let Some(gate) = pass_gate(state_dir, deadline)? {
            match under(&gate) {
                Ok(()) if gate.still_stands() => return Ok((gate, tightened_from)),
                Err(HoldError::StateDir(StateDirError::Missing { .. })) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if remakes == REMAKES {
            return Err(StateDirError::Missing { path: state_dir.root().to_owned() }.into());
        }
        remakes += 1;
    }
}

/// `None`: there is no directory, and nothing that could be stopped there. None is made.
fn pass_gate(state_dir: &StateDir, deadline: &Deadline) -> Result<Option<StartGate>, StopError> {
    let mut backoff = Backoff::new();
    loop {
        match StartGate::try_acquire(state_dir) {
            Ok(Some(gate)) => return Ok(Some(gate)),
            Ok(None) if deadline.passed() => return Err(StopError::GateBusy { elapsed: deadline.elapsed() }),
            Ok(None) => backoff.pause(deadline),
            Err(GateError::Refused(AcquireError::StateDir(error))) => return Err(error.into()),
            Err(GateError::Refused(error)) => return Err(StopError::Gate(error)),
            Err(_) => return Ok(None),
        }
    }
}
