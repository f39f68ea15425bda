//! Having a daemon: look, gate, look again, launch, verify.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use aileron_discovery::process::Elsewhere;
use aileron_discovery::{
    AcquireError, Advertisement, Deadline, GateError, Hold, HoldError, ProbeError, StartGate, StateDir,
    StateDirError, StateFile,
};

use crate::find::{Finding, Found, classify, explicit};
use crate::launch::{Launch, LaunchError, Outcome};
use crate::look::{Held, Look, LookError, Quiet, look, prove};
use crate::wait::Backoff;

/// How long a daemon that holds the lock may say nothing before it is called unresponsive.
const SILENT: Duration = Duration::from_secs(5);

/// How long it may refuse connections: a daemon that is leaving has closed its port and drains for up to 10 s.
const REFUSING: Duration = Duration::from_secs(15);

/// How often the state directory may be deleted under a start before that is called a failure.
const REMAKES: u32 = 20;

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
    if let Look::Found(found) = look(state_dir, &deadline)?
        && options.hold == HoldRule::Obey
    {
        return Ok(Ensured::Found(found));
    }
    let mut start = Start { state_dir, launch, options, deadline, tightened_from: None, remakes: 0 };
    loop {
        if let Some(ensured) = start.attempt()? {
            return Ok(ensured);
        }
        if deadline.passed() {
            let step = "starting over: what was started went away again";
            return Err(EnsureError::StartInProgress { step, pid: None, elapsed: deadline.elapsed() });
        }
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
}

impl Start<'_> {
    /// One way through the gate. `None`: something changed underneath; begin again.
    fn attempt(&mut self) -> Result<Option<Ensured>, EnsureError> {
        let may_start = self.may_start()?;
        if may_start {
            self.make_directory()?;
        }
        let gate = match self.pass_gate()? {
            Passed::Gate(gate) => gate,
            Passed::Found(found) => return Ok(Some(Ensured::Found(found))),
            Passed::NoDirectory if may_start => return Ok(None),
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
            return Ok(None);
        }
        let launched = self.launch.start(self.state_dir, &self.deadline)?;
        self.verify(launched, stale)
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

    fn make_directory(&mut self) -> Result<(), EnsureError> {
        if self.remakes == REMAKES {
            return Err(EnsureError::KeepsVanishing { path: self.state_dir.root().to_owned() });
        }
        self.remakes += 1;
        self.tightened_from = self.state_dir.create()?.or(self.tightened_from);
        Ok(())
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
            match look(self.state_dir, &self.deadline)? {
                Look::Found(found) if self.options.hold == HoldRule::Obey => return Ok(Passed::Found(found)),
                Look::Held(held) => unproved.judge(self.state_dir, &held)?,
                Look::Found(_) | Look::Nobody { .. } => unproved = Unproved::new(self.deadline),
            }
            if self.deadline.passed() {
                return Err(EnsureError::StartInProgress {
                    step: "waiting for the start gate, which another client holds",
                    pid: None,
                    elapsed: self.deadline.elapsed(),
                });
            }
            backoff.pause(&self.deadline);
        }
    }

    /// Under the gate: a held lock has an owner that is starting, leaving, or stuck. Nobody else can launch meanwhile.
    fn wait_for_owner(&self) -> Result<Owned, EnsureError> {
        let mut backoff = Backoff::new();
        let mut unproved = Unproved::new(self.deadline);
        loop {
            match look(self.state_dir, &self.deadline)? {
                Look::Found(found) => return Ok(Owned::Found(found)),
                Look::Nobody { stale } => return Ok(Owned::Nobody { stale }),
                Look::Held(held) => unproved.judge(self.state_dir, &held)?,
            }
            backoff.pause(&self.deadline);
        }
    }

    /// The launched daemon proves itself like any other. The gate is held until it has.
    fn verify(&self, launched: Outcome, stale: Option<String>) -> Result<Option<Ensured>, EnsureError> {
        match launched {
            Outcome::LookAgain => Ok(None),
            Outcome::Pending { pid } => Err(EnsureError::StartInProgress {
                step: "waiting for the launched daemon to be ready",
                pid: Some(pid),
                elapsed: self.deadline.elapsed(),
            }),
            Outcome::Ready(record) => Ok(self.prove(*record).map(|daemon| Ensured::Started {
                daemon,
                reason: stale.map_or(StartReason::NotRunning, StartReason::Stale),
                tightened_from: self.tightened_from,
            })),
        }
    }

    /// `None`: it was displaced, or died, since it said that it is ready.
    fn prove(&self, record: Advertisement) -> Option<Found> {
        let state = prove(self.state_dir, &record, &self.deadline).ok()?;
        Some(Found::new(record, state))
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

/// A held lock behind which nobody is proved, and since when.
struct Unproved {
    deadline: Deadline,
    since: Instant,
    next_verdict: Option<Duration>,
}

impl Unproved {
    fn new(deadline: Deadline) -> Self {
        Self { deadline, since: Instant::now(), next_verdict: None }
    }

    /// Goes on waiting, or says what the matter is. The process table is read only once the patience is over: who has just
    /// started is found within milliseconds anyway.
    fn judge(&mut self, state_dir: &StateDir, held: &Held) -> Result<(), EnsureError> {
        let waited = self.since.elapsed();
        let patience = match held.quiet {
            Quiet::Refusing => REFUSING,
            Quiet::Silent | Quiet::Unadvertised => SILENT,
        };
        let due = waited >= self.next_verdict.unwrap_or(patience).max(patience.min(SILENT));
        let elsewhere = held.record.as_ref().is_some_and(|record| Elsewhere::of(record).is_some());
        if !due && !elsewhere && !self.deadline.passed() {
            return Ok(());
        }
        match classify(state_dir, held, self.deadline.elapsed()) {
            Finding::Starting { pid } if self.deadline.passed() => Err(EnsureError::StartInProgress {
                step: "waiting for a daemon that holds the lock and is not ready",
                pid: Some(pid),
                elapsed: self.deadline.elapsed(),
            }),
            Finding::Starting { .. } => {
                self.next_verdict = Some(waited + Duration::from_secs(1));
                Ok(())
            }
            Finding::Elsewhere { elsewhere, pid, host } => {
                Err(EnsureError::Elsewhere { elsewhere, pid, host })
            }
            Finding::Unresponsive { pid, why, elapsed } => {
                Err(EnsureError::Unresponsive { pid, why, elapsed })
            }
            Finding::Explicit(_) | Finding::Found(_) | Finding::NotRunning { .. } => Ok(()),
        }
    }
}
