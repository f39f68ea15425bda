//! Having a daemon: look, gate, look again, launch, verify.

use std::path::PathBuf;
use std::time::Duration;

use aileron_discovery::process::Elsewhere;
use aileron_discovery::{
    AcquireError, Deadline, GateError, Hold, HoldError, ProbeError, StartGate, StateDir, StateDirError,
    StateFile,
};

use crate::find::{Found, explicit};
use crate::launch::{Launch, LaunchError, Outcome, Running};
use crate::look::{Look, LookError, Quiet, look_for_use, prove};
use crate::patience::Unproved;
use crate::wait::Backoff;

/// How often the state directory may be deleted under a start before that is called a failure: an `rm -rf` in a loop.
const REMAKES: u32 = 100;

/// How many daemons one call launches where nothing was deleted under them: another may have been quicker to the lock, or
/// somebody's `kill` may have hit the first. More than that is a daemon that does not stay.
const LAUNCHES: u32 = 3;

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

/// What a hold means to this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRule {
    /// Start nothing while it is set.
    Obey,
    /// Clear it: somebody asked for a start by name.
    Clear,
}

/// How a daemon is to be had.
#[derive(Debug)]
pub struct EnsureOptions {
    /// Whether one may be started.
    pub autostart: Autostart,
    /// Whether a hold is obeyed.
    pub hold: HoldRule,
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
    /// The launch failed.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The lock is held and nobody that can be proved answers.
    #[error("the lock is held and no daemon answers: {why}")]
    Unresponsive {
        /// The recorded pid, if any.
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
    if let Some(url) = explicit(state_dir) {
        return Ok(Ensured::Explicit(url));
    }
    let mut start =
        Start { state_dir, launch, options, deadline, tightened_from: None, remakes: 0, launches: 0 };
    if let Look::Found(found) = look_for_use(state_dir, &deadline)?
        && start.may_be_used_as_it_is()?
    {
        return Ok(Ensured::Found(found));
    }
    let mut backoff = Backoff::new();
    loop {
        if let Some(ensured) = start.attempt()? {
            return Ok(ensured);
        }
        if deadline.passed() {
            return Err(start.in_progress("starting over: what was started went away again", None));
        }
        backoff.pause(&deadline);
    }
}

/// What the steps of one start share.
struct Start<'a> {
    state_dir: &'a StateDir,
    launch: &'a Launch,
    options: &'a EnsureOptions,
    deadline: Deadline,
    tightened_from: Option<u32>,
    remakes: u32,
    launches: u32,
}

impl Start<'_> {
    /// One way through the gate. `None`: something changed underneath; begin again.
    fn attempt(&mut self) -> Result<Option<Ensured>, EnsureError> {
        let may_start = self.may_start()?;
        if may_start {
            self.tightened_from = self.state_dir.create()?.or(self.tightened_from);
        }
        let gate = match self.pass_gate()? {
            Passed::Gate(gate) => gate,
            Passed::Found(found) => return Ok(Some(Ensured::Found(found))),
            Passed::NoDirectory if may_start => return self.begin_again(),
            Passed::NoDirectory => return Err(self.forbidden()),
        };
        if self.options.hold == HoldRule::Clear {
            Hold::clear(&gate)?;
        }
        let stale = match self.wait_for_owner()? {
            Owned::Found(found) => return Ok(Some(Ensured::Found(found))),
            Owned::Nobody { stale } => stale,
        };
        // Asked again under the gate: a hold that was set while we waited counts.
        if !self.may_start()? {
            return Err(self.forbidden());
        }
        if !gate.still_stands() {
            return self.begin_again();
        }
        self.launch(&gate, stale)
    }

    /// Launches, and keeps the gate until the daemon has proved itself like any other.
    fn launch(&mut self, gate: &StartGate, stale: Option<String>) -> Result<Option<Ensured>, EnsureError> {
        if self.deadline.passed() {
            return Err(self.in_progress("launching the daemon", None));
        }
        self.launches += 1;
        match self.launch.start(self.state_dir, &self.deadline)? {
            Outcome::Pending { pid } => {
                Err(self.in_progress("waiting for the launched daemon to be ready", Some(pid)))
            }
            Outcome::Lost => self.begin_again(),
            // `daemon run` needs no gate, and was quicker.
            Outcome::Held if self.launches < LAUNCHES => Ok(None),
            Outcome::Held => Err(EnsureError::NoneStayed {
                launches: self.launches,
                why: "found the lock held, which nobody is seen to hold".to_owned(),
            }),
            Outcome::Ready { record, launched } => match prove(self.state_dir, &record, &self.deadline) {
                Ok(proved) => {
                    launched.reap();
                    let reason = stale.map_or(StartReason::NotRunning, StartReason::Stale);
                    let daemon = Found::new(*record, proved);
                    Ok(Some(Ensured::Started { daemon, reason, tightened_from: self.tightened_from }))
                }
                // A deleted directory takes its daemon with it, and says nothing about the daemon.
                Err(_) if !gate.still_stands() => {
                    launched.reap();
                    self.begin_again()
                }
                Err((_, why)) => self.none_stayed(launched, &why),
            },
        }
    }

    fn in_progress(&self, step: &'static str, pid: Option<u32>) -> EnsureError {
        EnsureError::StartInProgress { step, pid, elapsed: self.deadline.elapsed() }
    }

    /// The daemon said that it is ready and did not prove it: most likely it was ended by somebody since.
    fn none_stayed(&self, launched: Running, why: &str) -> Result<Option<Ensured>, EnsureError> {
        if self.launches < LAUNCHES {
            launched.reap();
            return Ok(None);
        }
        Err(match launched.if_gone() {
            Some(gone) => gone.into(),
            None => EnsureError::NoneStayed {
                launches: self.launches,
                why: format!("said that it was ready and did not prove it: {why}"),
            },
        })
    }

    /// The directory or the lock was deleted underneath: no fault of anybody's here, but not for ever.
    fn begin_again<T>(&mut self) -> Result<Option<T>, EnsureError> {
        if self.remakes == REMAKES {
            return Err(EnsureError::KeepsVanishing { path: self.state_dir.root().to_owned() });
        }
        self.remakes += 1;
        self.launches = 0;
        Ok(None)
    }

    /// Whether a daemon that is found is all that was asked for. To clear a hold takes the gate.
    fn may_be_used_as_it_is(&self) -> Result<bool, EnsureError> {
        Ok(self.options.hold == HoldRule::Obey || !Hold::is_set(self.state_dir)?)
    }

    /// Whether this call may launch a daemon; a hold is an error at once, for nothing would be waited for.
    fn may_start(&self) -> Result<bool, EnsureError> {
        if self.options.hold == HoldRule::Obey && Hold::is_set(self.state_dir)? {
            return Err(EnsureError::OnHold { path: self.state_dir.path(StateFile::Hold) });
        }
        Ok(self.options.autostart == Autostart::Allowed)
    }

    fn forbidden(&self) -> EnsureError {
        let variable = match &self.options.autostart {
            Autostart::Forbidden { variable } => variable.clone(),
            Autostart::Allowed => self.state_dir.tool().env_var("NO_AUTOSTART"),
        };
        EnsureError::AutostartOff { variable }
    }

    /// Waits for the gate, looking again meanwhile: whoever has it is about to have a daemon for us as well.
    fn pass_gate(&self) -> Result<Passed, EnsureError> {
        let mut backoff = Backoff::new();
        let mut unproved = Unproved::new(self.deadline);
        loop {
            match StartGate::try_acquire(self.state_dir) {
                Ok(Some(gate)) => return Ok(Passed::Gate(gate)),
                Ok(None) => {}
                Err(GateError::Refused(error)) => return Err(EnsureError::Gate(error)),
                Err(_) => return Ok(Passed::NoDirectory),
            }
            match look_for_use(self.state_dir, &self.deadline)? {
                Look::Found(found) if self.may_be_used_as_it_is()? => return Ok(Passed::Found(found)),
                // Somebody at the recorded address who says nothing is as stuck for us as for whoever has the gate, and a
                // hundred of us need not find out one after the other. All else may be the start that is in progress.
                Look::Held(held) if held.quiet == Quiet::Silent => unproved.judge(self.state_dir, &held)?,
                _ => unproved = Unproved::new(self.deadline),
            }
            if self.deadline.passed() {
                return Err(self.in_progress("waiting for the start gate, which another client holds", None));
            }
            backoff.pause(&self.deadline);
        }
    }

    /// Under the gate: a held lock has an owner that is starting, leaving, or stuck. Nobody else can launch meanwhile.
    fn wait_for_owner(&self) -> Result<Owned, EnsureError> {
        let mut backoff = Backoff::new();
        let mut unproved = Unproved::new(self.deadline);
        loop {
            match look_for_use(self.state_dir, &self.deadline)? {
                Look::Found(found) => return Ok(Owned::Found(found)),
                Look::Nobody { stale } => return Ok(Owned::Nobody { stale }),
                Look::Held(held) => unproved.judge(self.state_dir, &held)?,
            }
            backoff.pause(&self.deadline);
        }
    }
}

/// How the gate was passed.
enum Passed {
    Gate(StartGate),
    /// Without it: a daemon came up meanwhile.
    Found(Found),
    NoDirectory,
}

/// Who holds the lock, under the gate.
enum Owned {
    Found(Found),
    Nobody { stale: Option<String> },
}
