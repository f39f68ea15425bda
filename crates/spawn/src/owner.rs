//! The owner that a stop is about, and how it is made to end: asked, then signalled under P9.

use std::time::Duration;

use aileron_discovery::process::{self, ProcessId, Refusal};
use aileron_discovery::protocol::control::StopRequest;
use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{
    Advertisement, Deadline, FileId, LockProbe, Reading, StateDir, StateFile, failpoint, probe_lock,
};

use crate::control::{request_stop, view};
use crate::find::Found;
use crate::look::{Quiet, prove};
use crate::restart::Predecessor;
use crate::stop::{Force, How, StopError, StopOutcome};
use crate::sys::{ProcessHandle, Signal};
use crate::wait::Backoff;

/// How long the daemon may take to answer: to accept the request before `SIGTERM` is sent, to say what it runs with.
const REQUEST: Duration = Duration::from_secs(2);

/// How long a killed process may take to be gone: the kernel may have to finish a write for it.
pub(crate) const AFTER_KILL: Duration = Duration::from_secs(5);

/// How long a port is looked at, at the least, once its process is gone.
const ITS_PORT: Duration = Duration::from_secs(1);

/// Who holds the lock, as far as it can be proved.
pub(crate) struct Owner {
    lock: FileId,
    record: Option<Box<Advertisement>>,
    process: Result<(ProcessId, ProcessHandle), Refusal>,
}

impl Owner {
    pub(crate) fn find(state_dir: &StateDir, lock: FileId) -> Self {
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

    /// What is to be known of it before it is replaced.
    pub(crate) fn introduce(&self, state_dir: &StateDir, deadline: &Deadline) -> Predecessor {
        let proved = self.process.as_ref().ok().map(|(id, _)| id.pid);
        // A record that names another process says nothing of this one.
        let record = self.record.as_deref().filter(|record| proved.is_none_or(|pid| pid == record.pid));
        // One that does not answer is yet to be stopped, and has no more than its share of the time.
        let share = deadline.remaining().unwrap_or_default() / 4;
        let deadline = deadline.within(REQUEST.min(share));
        let options = match record {
            None => Err("it has no record".to_owned()),
            Some(record) => match prove(state_dir, record, &deadline) {
                Ok(state) => view(&Found::new(record.clone(), state), deadline)
                    .map(|view| view.options)
                    .map_err(|error| in_one_line(&error)),
                Err((_, why)) => Err(why),
            },
        };
        Predecessor {
            pid: proved.or(record.map(|record| record.pid)),
            instance: record.and_then(|record| record.instance.clone()),
            version: record.map(|record| record.version.clone()),
            options,
        }
    }

    pub(crate) fn stop(
        self,
        state_dir: &StateDir,
        force: Force,
        deadline: &Deadline,
    ) -> Result<StopOutcome, StopError> {
        let mut how = How::Request;
        let request = deadline.within(REQUEST);
        let accepted = self.request(state_dir, &request);
        failpoint!("stop_requested");
        let mut unproved = None;
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
            // Only its lock tells of its end.
            Err(refusal) if accepted => {
                unproved = Some(refusal);
                (self.record.as_ref().map_or(0, |record| record.pid), true)
            }
            // Who was just leaving, or looked at the lock for a moment, is gone by now.
            Err(_) if is_released(state_dir, self.lock, &request) => return Ok(StopOutcome::NotRunning),
            Err(refusal) => return Err(StopError::Unproved { refusal }),
        };
        let after = if how == How::Sigkill { Deadline::after(AFTER_KILL) } else { *deadline };
        // Of a lock that may not be looked at the end of the process has to tell.
        let is_hidden = || probe_lock(state_dir).is_err_and(|error| error.is_denied());
        if !ended || !(is_hidden() || is_released(state_dir, self.lock, &after)) {
            // It is gone, and its lock cannot be looked at: that is what is the matter.
            if ended && let Err(error) = probe_lock(state_dir) {
                return Err(error.into());
            }
            return Err(StopError::StillRunning { pid, elapsed: deadline.elapsed() });
        }
        // Of a process that was not proved its lock has to, the very one that it held.
        if let Some(refusal) = unproved
            && !matches!(
                probe_lock(state_dir),
                // Somebody may hold it again: it was let go of above.
                Ok(LockProbe::Free(lock) | LockProbe::Held(lock)) if lock == self.lock
            )
        {
            return Err(StopError::Unseen { lock: state_dir.path(StateFile::Lock), refusal });
        }
        // Where the process was gone at the last moment, there is no time left to see that its port is as well.
        let after = Deadline::after(after.remaining().unwrap_or_default().max(ITS_PORT));
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
            Ok(_) => return true,
            // A directory that is refused meanwhile, for its mode or its owner, says nothing of the lock.
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
