//! The steps of a start: look, gate, look again, launch, verify.

use std::time::Instant;

use aileron_discovery::protocol::control::StopRequest;
use aileron_discovery::{
    Advertisement, Deadline, GateError, Hold, InstanceId, StartGate, StateDir, StateFile, failpoint,
    probe_lock,
};

use crate::control::{ControlError, request_stop};
use crate::ensure::{Autostart, EnsureError, EnsureOptions, Ensured, HoldRule, Misfit, StartReason};
use crate::find::Found;
use crate::launch::{Launch, LaunchError, Outcome, Running};
use crate::look::{Look, PATIENCE, Quiet, find_for_use, look_for_use, prove};
use crate::patience::{SILENT, Unproved};
use crate::version::Fit;
use crate::wait::{Backoff, RecordWatch};

/// How often the state directory may be deleted under a start before that is called a failure: an `rm -rf` in a loop.
const REMAKES: u32 = 100;

/// How many daemons one call launches where nothing was deleted under them: another may have been quicker to the lock, or
/// somebody's `kill` may have hit the first. More than that is a daemon that does not stay.
const LAUNCHES: u32 = 3;

/// What the steps of one start share.
pub(crate) struct Start<'a> {
    state_dir: &'a StateDir,
    launch: &'a dyn Fn() -> Launch,
    options: &'a EnsureOptions,
    deadline: Deadline,
    tightened_from: Option<u32>,
    remakes: u32,
    launches: u32,
    /// The daemon that this call has had end.
    replaced: Option<Box<Advertisement>>,
    /// Since when whoever holds the lock has been silent.
    silent_since: Option<Instant>,
}

impl<'a> Start<'a> {
    pub(crate) fn new(
        state_dir: &'a StateDir,
        launch: &'a dyn Fn() -> Launch,
        options: &'a EnsureOptions,
        deadline: Deadline,
    ) -> Self {
        Self {
            state_dir,
            launch,
            options,
            deadline,
            tightened_from: None,
            remakes: 0,
            launches: 0,
            replaced: None,
            silent_since: None,
        }
    }

    /// For a caller that has made the directory already: the mode that it had before, as
    /// [`StateDir::create`] returns it.
    pub(crate) fn having_tightened(self, tightened_from: Option<u32>) -> Self {
        Self { tightened_from, ..self }
    }

    pub(crate) fn run(mut self) -> Result<Ensured, EnsureError> {
        let began = Instant::now();
        match find_for_use(self.state_dir, self.told(), &self.deadline)? {
            Some(found) if self.may_be_used_as_it_is()? && self.fits(&found)? => {
                return Ok(Ensured::Found(found));
            }
            // Who is there at all answers or refuses at once.
            None if began.elapsed() >= PATIENCE => self.silent_since = Some(began),
            _ => {}
        }
        let mut backoff = Backoff::new();
        loop {
            if let Some(ensured) = self.attempt()? {
                return Ok(ensured);
            }
            if self.deadline.passed() {
                return Err(self.in_progress("starting over: what was started went away again", None));
            }
            backoff.pause(&self.deadline);
        }
    }

    /// The same for a caller that has the gate, and has had the owner end under it. The gate is let go of only if it no longer
    /// stands at its path, where it keeps nobody out.
    pub(crate) fn run_under(mut self, gate: StartGate) -> Result<Ensured, EnsureError> {
        let mut backoff = Backoff::new();
        while gate.still_stands() {
            if let Some(ensured) = self.attempt_under(&gate)? {
                return Ok(ensured);
            }
            if self.deadline.passed() {
                return Err(self.in_progress("starting over: what was started went away again", None));
            }
            backoff.pause(&self.deadline);
        }
        drop(gate);
        self.run()
    }

    /// One way through the gate. `None`: something changed underneath; begin again.
    fn attempt(&mut self) -> Result<Option<Ensured>, EnsureError> {
        let may_start = match self.may_start() {
            // The lock decides: a daemon that runs is waited for, as one is whose record is just being restored.
            Err(EnsureError::OnHold { .. }) if probe_lock(self.state_dir)?.is_held() => false,
            judged => judged?,
        };
        if may_start {
            self.tightened_from = self.state_dir.create()?.or(self.tightened_from);
            failpoint!("directory_made");
        }
        let gate = match self.pass_gate()? {
            Passed::Gate(gate) => gate,
            Passed::Found(found) => return Ok(Some(Ensured::Found(found))),
            Passed::NoDirectory if may_start || self.options.autostart == Autostart::Allowed => {
                return self.begin_again();
            }
            Passed::NoDirectory => return Err(self.forbidden()),
        };
        failpoint!("gate_passed");
        self.attempt_under(&gate)
    }

    /// The part of an attempt for which the gate is held.
    fn attempt_under(&mut self, gate: &StartGate) -> Result<Option<Ensured>, EnsureError> {
        if self.options.hold == HoldRule::Clear {
            Hold::clear(gate)?;
        }
        let stale = match self.wait_for_owner()? {
            Owned::Found(found) if self.fits(&found)? => return Ok(Some(Ensured::Found(found))),
            Owned::Found(found) => {
                self.have_end(&found)?;
                // It leaves, and who follows it is looked for anew, still under this gate.
                match self.wait_for_owner()? {
                    Owned::Found(found) if self.fits(&found)? => return Ok(Some(Ensured::Found(found))),
                    Owned::Found(found) => return Err(self.misfit(&found, Misfit::Returned)),
                    Owned::Nobody { stale } => stale,
                }
            }
            Owned::Nobody { stale } => stale,
        };
        // Asked again under the gate: a hold that was set while we waited counts.
        if !self.may_launch(gate)? {
            return Err(self.forbidden());
        }
        if !gate.still_stands() {
            return self.begin_again();
        }
        self.launch(gate, stale)
    }

    /// Launches, and keeps the gate until the daemon has proved itself like any other.
    fn launch(&mut self, gate: &StartGate, stale: Option<String>) -> Result<Option<Ensured>, EnsureError> {
        if self.deadline.passed() {
            return Err(self.in_progress("launching the daemon", None));
        }
        self.launches += 1;
        failpoint!("before_launch");
        let outcome = match (self.launch)().start(self.state_dir, &self.deadline) {
            // Whatever it died of, it may be that its directory was deleted under it, and then another may do better.
            Err(LaunchError::Exited { .. } | LaunchError::Failed { .. }) if !gate.still_stands() => {
                return self.begin_again();
            }
            other => other?,
        };
        match outcome {
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
                    failpoint!("proved");
                    launched.reap();
                    let reason = match self.replaced.take() {
                        Some(record) => StartReason::Replaced(record.version),
                        None => stale.map_or(StartReason::NotRunning, StartReason::Stale),
                    };
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
        // Under a hold nobody starts anything: whoever has the gate is stopping a daemon.
        if pid.is_none() && matches!(self.may_start(), Err(EnsureError::OnHold { .. })) {
            return self.on_hold();
        }
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

    /// A look at somebody silent takes its time, and is cut short where the patience with silence ends.
    fn look_for_use(&mut self) -> Result<Look, EnsureError> {
        let began = Instant::now();
        let left = self.silent_since.and_then(|since| SILENT.checked_sub(since.elapsed()));
        let deadline = left.map_or(self.deadline, |left| self.deadline.within(left));
        let seen = look_for_use(self.state_dir, self.told(), &deadline)?;
        self.silent_since = match &seen {
            Look::Held(held) if held.quiet == Quiet::Silent => self.silent_since.or(Some(began)),
            _ => None,
        };
        Ok(seen)
    }

    /// A patience that has been tried already if the last look met silence.
    fn unproved(&self) -> Unproved {
        Unproved::since(self.silent_since.unwrap_or_else(Instant::now), self.deadline)
    }

    /// The instance that this call has had end.
    fn told(&self) -> Option<&InstanceId> {
        self.replaced.as_ref().and_then(|record| record.instance.as_ref())
    }

    /// Whether a daemon that is found is all that was asked for. To clear a hold takes the gate.
    fn may_be_used_as_it_is(&self) -> Result<bool, EnsureError> {
        Ok(self.options.hold == HoldRule::Obey || !Hold::is_set(self.state_dir)?)
    }

    /// Whether a daemon's version will do; an older one that will not may be replaced.
    fn fits(&self, found: &Found) -> Result<bool, EnsureError> {
        match self.options.version.judge(self.state_dir.tool().version(), &found.record().version) {
            Fit::Good => Ok(true),
            Fit::NotOlder => Err(self.misfit(found, Misfit::NotOlder)),
            Fit::Older if self.replaced.is_some() => Err(self.misfit(found, Misfit::Returned)),
            Fit::Older if self.may_start()? => Ok(false),
            Fit::Older => Err(self.misfit(found, Misfit::StartsOff)),
        }
    }

    fn misfit(&self, found: &Found, misfit: Misfit) -> EnsureError {
        EnsureError::Incompatible {
            pid: found.pid(),
            theirs: found.record().version.clone(),
            ours: self.state_dir.tool().version().to_owned(),
            misfit,
        }
    }

    /// Asks an older daemon to end if it is idle. Whether it is, is for the daemon to say; what it is still sent after it has
    /// said yes is answered while it drains.
    fn have_end(&mut self, found: &Found) -> Result<(), EnsureError> {
        let asked = if found.proved() {
            request_stop(found.record(), StopRequest { if_idle: true }, &self.deadline)
        } else {
            Err(ControlError::Unproved)
        };
        match asked {
            Ok(()) => {}
            Err(ControlError::Status { status: 409, .. }) => return Err(self.misfit(found, Misfit::Busy)),
            Err(_) => return Err(self.misfit(found, Misfit::Unproved)),
        }
        self.replaced = Some(Box::new(found.record().clone()));
        Ok(())
    }

    /// Whether this call may launch a daemon; a hold is an error.
    fn may_start(&self) -> Result<bool, EnsureError> {
        if self.options.hold == HoldRule::Obey && Hold::is_set(self.state_dir)? {
            return Err(self.on_hold());
        }
        Ok(self.options.autostart == Autostart::Allowed)
    }

    /// The same under the gate: a directory that is away for a moment keeps its hold.
    fn may_launch(&self, gate: &StartGate) -> Result<bool, EnsureError> {
        if self.options.hold == HoldRule::Obey && Hold::is_set_under(gate)? {
            return Err(self.on_hold());
        }
        Ok(self.options.autostart == Autostart::Allowed)
    }

    fn on_hold(&self) -> EnsureError {
        EnsureError::OnHold { path: self.state_dir.path(StateFile::Hold) }
    }

    fn forbidden(&self) -> EnsureError {
        let variable = match &self.options.autostart {
            Autostart::Forbidden { variable } => variable.clone(),
            Autostart::Allowed => self.state_dir.tool().env_var("NO_AUTOSTART"),
        };
        EnsureError::AutostartOff { variable }
    }

    /// Waits for the gate, looking again meanwhile: whoever has it is about to have a daemon for us as well.
    ///
    /// A look takes a connection and a proof, so there is one only where the record has something new to say, or has said
    /// the same for a while. Between them a waiter costs the one start that all wait for next to nothing.
    fn pass_gate(&mut self) -> Result<Passed, EnsureError> {
        let mut backoff = Backoff::new();
        let mut unproved = self.unproved();
        let mut record = RecordWatch::new(self.state_dir);
        loop {
            match StartGate::try_acquire(self.state_dir) {
                Ok(Some(gate)) => return Ok(Passed::Gate(gate)),
                Ok(None) => {}
                Err(GateError::Refused(error)) => return Err(EnsureError::Gate(error)),
                Err(_) => return Ok(Passed::NoDirectory),
            }
            match record.is_worth_a_look().then(|| self.look_for_use()).transpose()? {
                None => {}
                Some(Look::Found(found)) if self.may_be_used_as_it_is()? && self.fits(&found)? => {
                    return Ok(Passed::Found(found));
                }
                // Somebody at the recorded address who says nothing is as stuck for us as for whoever has the gate, and a
                // hundred of us need not find out one after the other. All else may be the start that is in progress.
                Some(Look::Held(held)) if held.quiet == Quiet::Silent => {
                    unproved.judge(self.state_dir, &held)?;
                }
                Some(_) => unproved = self.unproved(),
            }
            if self.deadline.passed() {
                return Err(self.in_progress("waiting for the start gate, which another client holds", None));
            }
            backoff.pause(&self.deadline);
        }
    }

    /// Under the gate: a held lock has an owner that is starting, leaving, or stuck. Nobody else can launch meanwhile.
    fn wait_for_owner(&mut self) -> Result<Owned, EnsureError> {
        let mut backoff = Backoff::new();
        let mut unproved = self.unproved();
        loop {
            match self.look_for_use()? {
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
