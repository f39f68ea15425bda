//! Stopping the daemon, and having it stopped when this returns.

use std::io;
use std::time::Duration;

use aileron_discovery::process::{self, Holder, ProcessId, Refusal};
use aileron_discovery::protocol::control::StopRequest;
use aileron_discovery::{
    AcquireError, Advertisement, Deadline, FileId, GateError, Hold, HoldError, LockProbe, ProbeError,
    Reading, StartGate, StateDir, StateDirError, StateFile, file_identity, probe_lock,
};

use crate::control::request_stop;
use crate::look::{Quiet, prove};
use crate::sys::{ProcessHandle, Signal};
use crate::wait::Backoff;

/// How long the request may take to be accepted before `SIGTERM` is sent.
const REQUEST: Duration = Duration::from_secs(2);

/// How long a killed process may take to be gone: the kernel may have to finish a write for it.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// How often the directory may be deleted while a hold is being set in it.
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
    #[error("the lock is held and no process is proved to hold it, so none was sent a signal")]
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
        OnStop::Hold => Some(Some(pass_gate_and_hold(state_dir, &deadline)?)),
    };
    let owner = match &gate {
        Some(_) => owner(state_dir, &deadline)?,
        None => None,
    };
    let outcome = match owner {
        Some(lock) => Target::find(state_dir, lock).stop(state_dir, options.force, &deadline)?,
        None => StopOutcome::NotRunning,
    };
    Ok(Stopped { outcome, orphans: orphans(state_dir) })
}

/// The lock that somebody holds. One that may not be looked at is held if there is a daemon that is proved, for a handshake is
/// answered by the owner only.
fn owner(state_dir: &StateDir, deadline: &Deadline) -> Result<Option<FileId>, StopError> {
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

fn orphans(state_dir: &StateDir) -> Vec<Holder> {
    let mut holders = process::find_holders(state_dir.tool()).unwrap_or_default();
    holders.retain(|holder| holder.is_orphan_of(state_dir));
    holders
}

/// Makes the directory where there is none: a hold is a file in it, and has to outlast an `rm -rf` at the wrong moment.
fn pass_gate_and_hold(state_dir: &StateDir, deadline: &Deadline) -> Result<StartGate, StopError> {
    let mut remakes = 0;
    loop {
        state_dir.create()?;
        if let Some(gate) = pass_gate(state_dir, deadline)? {
            match Hold::set(&gate) {
                Ok(()) if gate.still_stands() => return Ok(gate),
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

/// Who holds the lock, as far as it can be proved.
struct Target {
    lock: FileId,
    record: Option<Box<Advertisement>>,
    process: Result<(ProcessId, ProcessHandle), Refusal>,
}

impl Target {
    fn find(state_dir: &StateDir, lock: FileId) -> Self {
        let record = match Advertisement::read(state_dir) {
            Ok(Reading::Present(record)) => Some(record),
            _ => None,
        };
        let recorded = match &record {
            Some(record) => open_first(record.pid, || process::prove_recorded(record, lock)),
            None => Err(Refusal::Unidentified),
        };
        // A record that is missing or names somebody else does not make the holder unknown.
        let process = recorded.or_else(|refusal| by_holder(state_dir, lock).ok_or(refusal));
        Self { lock, record, process }
    }

    fn stop(self, state_dir: &StateDir, force: Force, deadline: &Deadline) -> Result<StopOutcome, StopError> {
        let mut how = How::Request;
        let request = deadline.within(REQUEST);
        let accepted = self.request(state_dir, &request);
        let (pid, ended) = match self.process {
            Ok((id, handle)) => {
                let mut ended = false;
                if !accepted {
                    // It may be leaving already, its port closed; a second signal would cut its drain short.
                    ended = handle.wait(&request);
                    if !ended {
                        how = How::Sigterm;
                        signal(&handle, id.pid, Signal::Term)?;
                    }
                }
                ended = ended || handle.wait(deadline);
                if !ended && force == Force::AtDeadline {
                    how = How::Sigkill;
                    signal(&handle, id.pid, Signal::Kill)?;
                    ended = handle.wait(&Deadline::after(AFTER_KILL));
                }
                (id.pid, ended)
            }
            // It took the request, so it is the daemon, only not one whose process can be held on to from here.
            Err(_) if accepted => (self.record.as_ref().map_or(0, |record| record.pid), true),
            // Who was just leaving, or looked at the lock for a moment, is gone by now.
            Err(_) if is_released(state_dir, self.lock, &request) => return Ok(StopOutcome::NotRunning),
            Err(refusal) => return Err(StopError::Unproved { refusal }),
        };
        let after = if how == How::Sigkill { Deadline::after(AFTER_KILL) } else { *deadline };
        // Of a lock that may not be looked at the end of the process has to tell, or that of its port.
        let is_hidden = || probe_lock(state_dir).is_err_and(|error| error.is_denied());
        if !ended || !(is_hidden() || is_released(state_dir, self.lock, &after)) {
            return Err(StopError::StillRunning { pid, elapsed: deadline.elapsed() });
        }
        // A record that names another process says nothing of this one's port.
        match self.record.as_ref().filter(|record| record.pid == pid) {
            Some(record) if !is_closed(state_dir, record, &after) => {
                Err(StopError::PortOpen { pid, address: record.url.address() })
            }
            _ => Ok(StopOutcome::Stopped { pid, how }),
        }
    }

    /// Asks the daemon, once it has proved itself; whether it accepted.
    fn request(&self, state_dir: &StateDir, deadline: &Deadline) -> bool {
        let Some(record) = &self.record else { return false };
        matches!(prove(state_dir, record, deadline), Ok(Some(_)))
            && request_stop(record, StopRequest::default(), deadline).is_ok()
    }
}

/// P9: the handle first, the proof second, so that what was proved is what is signalled.
fn open_first(
    pid: u32,
    prove: impl FnOnce() -> Result<ProcessId, Refusal>,
) -> Result<(ProcessId, ProcessHandle), Refusal> {
    let handle = ProcessHandle::open(pid).map_err(|source| Refusal::Unknown { pid, source })?;
    let handle = handle.ok_or(Refusal::Gone(pid))?;
    Ok((prove()?, handle))
}

fn by_holder(state_dir: &StateDir, lock: FileId) -> Option<(ProcessId, ProcessHandle)> {
    let tool = state_dir.tool();
    let found = process::find_holders(tool).ok()?.into_iter().find(|holder| holder.lock.file == lock)?;
    let pid = found.process.pid;
    let again = || match process::prove_holder(tool, pid)? {
        holder if holder.lock.file == lock => Ok(holder.process),
        _ => Err(Refusal::NotHolding(pid)),
    };
    open_first(pid, again).ok()
}

fn signal(handle: &ProcessHandle, pid: u32, signal: Signal) -> Result<(), StopError> {
    handle.signal(signal).map_err(|source| StopError::Signal { pid, source })
}

/// Whether the lock that the daemon held is free, or is no longer the lock.
fn is_released(state_dir: &StateDir, lock: FileId, deadline: &Deadline) -> bool {
    let mut backoff = Backoff::new();
    loop {
        match probe_lock(state_dir) {
            Ok(LockProbe::Held(held)) if held == lock => {}
            Ok(_) | Err(ProbeError::StateDir(_)) => return true,
            Err(_) => {}
        }
        if deadline.passed() {
            return false;
        }
        backoff.pause(deadline);
    }
}

/// Whether nobody answers at the recorded address, or by now somebody else does.
fn is_closed(state_dir: &StateDir, record: &Advertisement, deadline: &Deadline) -> bool {
    let mut backoff = Backoff::new();
    loop {
        if let Err((Quiet::Refusing | Quiet::Stranger, _)) = prove(state_dir, record, deadline) {
            return true;
        }
        if deadline.passed() {
            return false;
        }
        backoff.pause(deadline);
    }
}
