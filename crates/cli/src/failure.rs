//! Failures as people and programs see them: what happened, where, at which step, what to do next, which exit status.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aileron_discovery::process::{self, Elsewhere};
use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{AcquireError, Barrier, HoldError, ProbeError, Shortage, StateDirError};
use aileron_server::{RunError, ServeError};
use aileron_spawn::{ChildEnd, EnsureError, FindError, LaunchError, Misfit, RestartError, StopError};
use serde_json::{Value, json};

use crate::advice::{self, LOCAL, ended, moved_away};
use crate::exit::ExitStatus;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: &'static str,
    pub(crate) status: ExitStatus,
    message: String,
    path: Option<PathBuf>,
    step: Option<String>,
    hint: Option<String>,
    /// What ran out, and what to do about it: said before any other advice.
    shortage: Option<Shortage>,
    /// The launch that it came to, if it came to one.
    launch: Option<Launched>,
    /// The last lines of a check that failed.
    said: Option<String>,
}

/// A process that was launched, or is being waited for, as far as it is known.
#[derive(Debug)]
struct Launched {
    pid: u32,
    elapsed: Duration,
    /// `None`: it lives, or did when it was last looked at.
    end: Option<ChildEnd>,
    log: Option<PathBuf>,
    /// The last lines of this launch.
    tail: String,
}

impl Failure {
    pub(crate) fn new(kind: &'static str, status: ExitStatus, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            status,
            message,
            path: None,
            step: None,
            hint: None,
            shortage: None,
            launch: None,
            said: None,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", ExitStatus::Usage, message).hint("`aileron --help` lists what can be said")
    }

    /// One whose message is an error with its causes.
    fn of(kind: &'static str, status: ExitStatus, error: &(dyn Error + 'static)) -> Self {
        Self { shortage: Shortage::behind(error), ..Self::new(kind, status, in_one_line(error)) }
    }

    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    pub(crate) fn step(mut self, step: &str) -> Self {
        self.step = Some(step.to_owned());
        self
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    fn saying(mut self, said: &str) -> Self {
        self.said = Some(said.to_owned());
        self
    }

    /// Says where the lines of a launched daemon are, where the error did not.
    pub(crate) fn with_log(mut self, log: PathBuf) -> Self {
        if let Some(launch) = &mut self.launch {
            launch.log.get_or_insert(log);
        }
        self
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// The process that was launched or is waited for, if it is stopped by a signal or a debugger: it is not slow.
    pub(crate) fn paused(&self) -> Option<u32> {
        let launched = self.launch.as_ref().filter(|launch| launch.end.is_none())?;
        process::is_paused(launched.pid).then_some(launched.pid)
    }

    /// Whether it says which process was launched or is waited for.
    pub(crate) fn has_launch(&self) -> bool {
        self.launch.is_some()
    }

    /// What to do.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.shortage.map(Shortage::advice).or(self.hint.as_deref())
    }

    /// The last lines of what was started and failed.
    fn tail(&self) -> Option<&str> {
        let of_launch = self.launch.as_ref().map(|launch| launch.tail.as_str());
        of_launch.or(self.said.as_deref()).filter(|tail| !tail.is_empty())
    }

    fn shows(&self, path: &Path) -> bool {
        self.path.as_deref() == Some(path) || self.message.contains(&*path.to_string_lossy())
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// As `--json` prints it, under `error`.
    pub(crate) fn document(&self) -> Value {
        json!({
            "kind": self.kind,
            "message": self.message,
            "path": self.path.as_ref().map(|path| path.to_string_lossy()),
            "step": self.step,
            "hint": self.advice(),
            "exit_status": self.status.code(),
            "launch": self.launch.as_ref().map(Launched::document),
            "tail": self.tail(),
        })
    }
}

impl Launched {
    fn document(&self) -> Value {
        json!({
            "pid": self.pid,
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "exit_status": self.end.and_then(ChildEnd::code),
            "signal": self.end.and_then(ChildEnd::signal),
            "log": self.log.as_ref().map(|log| log.to_string_lossy()),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // What the message ends in, a start that goes on for instance, is not said twice.
        if let Some(step) = self.step.as_ref().filter(|step| !self.message.ends_with(&format!("({step})"))) {
            write!(f, "\n  step: {step}")?;
        }
        if let Some(path) = self.path.as_ref().filter(|path| !self.message.contains(&*path.to_string_lossy()))
        {
            write!(f, "\n  path: {}", path.display())?;
        }
        let launch = self.launch.as_ref();
        if let Some(log) = launch.and_then(|launch| launch.log.as_deref()).filter(|log| !self.shows(log)) {
            write!(f, "\n  log: {}", log.display())?;
        }
        if let Some(hint) = self.advice() {
            write!(f, "\n  next: {hint}")?;
        }
        for line in self.tail().unwrap_or_default().lines() {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

impl From<StateDirError> for Failure {
    fn from(error: StateDirError) -> Self {
        let mut failure = Self::of("state_dir", ExitStatus::Failed, &error);
        failure.path = error.path().map(Path::to_owned);
        let (step, hint) = advice::on_directory(&error);
        failure.step(step).hint(&hint)
    }
}

/// What to do about a file that cannot be opened.
fn remedy(path: &Path, error: &std::io::Error, otherwise: &str) -> String {
    Barrier::of(path, error).map_or_else(|| otherwise.to_owned(), |barrier| barrier.to_string())
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        let failure = Self::of("lock", ExitStatus::Failed, &error).step("look at the lock");
        match error {
            ProbeError::StateDir(error) => error.into(),
            ProbeError::NotAFile { path, .. } => failure.at(&path).hint(&moved_away(&path)),
            ProbeError::NoLocks { path, .. } => failure.at(&path).hint(LOCAL),
            ProbeError::Io { path, source, .. } => {
                failure.at(&path).hint(&remedy(&path, &source, "check who owns it: it must be yours to read"))
            }
            _ => failure,
        }
    }
}

impl From<AcquireError> for Failure {
    fn from(error: AcquireError) -> Self {
        let failure = Self::of("lock", ExitStatus::Failed, &error).step("acquire the lock");
        match error {
            AcquireError::StateDir(error) => error.into(),
            AcquireError::Held { path } => Self { status: ExitStatus::AlreadyRunning, ..failure }
                .at(&path)
                .hint("`aileron daemon status` says who that is"),
            AcquireError::NotAFile { path, .. } => failure.at(&path).hint(&moved_away(&path)),
            AcquireError::NoLocks { path, .. } | AcquireError::NotEnforced { path } => {
                failure.at(&path).hint(LOCAL)
            }
            AcquireError::Lost { path } => failure.at(&path).hint("something keeps removing it; try again"),
            AcquireError::Io { path, source, .. } => failure.at(&path).hint(&remedy(
                &path,
                &source,
                "check who owns it: it must be yours to write",
            )),
            _ => failure,
        }
    }
}

impl From<HoldError> for Failure {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::StateDir(error) => error.into(),
            HoldError::Io { step, ref path, .. } => Self::of("hold", ExitStatus::Failed, &error)
                .at(path)
                .step(step)
                .hint("move what stands there away, or check who owns it"),
            error => Self::of("hold", ExitStatus::Failed, &error).step("look at the hold"),
        }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        match error {
            FindError::StateDir(error) => error.into(),
            FindError::Probe(error) => error.into(),
            error => Self::of("find", ExitStatus::Failed, &error),
        }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let failure = Self::of("launch", ExitStatus::Failed, &error).step("launch the daemon");
        match error {
            LaunchError::Failed { pid, failure: said, elapsed, end, tail, log } => Self {
                path: Some(said.path.map_or_else(|| log.clone(), PathBuf::from)),
                step: Some(said.step),
                hint: said.hint.or_else(|| Some("`aileron daemon logs` may say more".to_owned())),
                launch: Some(Launched { pid, elapsed, end, log: Some(log), tail }),
                ..failure
            },
            LaunchError::Exited { pid, end, elapsed, tail, log } => Self {
                path: Some(log.clone()),
                hint: Some(ended(end).to_owned()),
                launch: Some(Launched { pid, elapsed, end: Some(end), log: Some(log), tail }),
                ..failure
            },
            LaunchError::Spawn { program, source } => failure.at(&program).hint(match source.kind() {
                // EAGAIN of fork(2).
                io::ErrorKind::WouldBlock => "no process is left to this user: raise the limit (`ulimit -u`)",
                _ => "check that the file is there, whole and executable, and made for this machine",
            }),
            LaunchError::ProgramGone { path } => failure.at(&path).hint("install it again"),
            _ => failure,
        }
    }
}

impl From<EnsureError> for Failure {
    fn from(error: EnsureError) -> Self {
        let of = |kind, status| Self::of(kind, status, &error);
        match &error {
            EnsureError::OnHold { path } => of("on_hold", ExitStatus::NotStarted)
                .at(path)
                .step("start the daemon")
                .hint("`aileron daemon start` starts one and ends the hold"),
            EnsureError::AutostartOff { .. } => of("autostart_off", ExitStatus::NotStarted)
                .step("start the daemon")
                .hint("`aileron daemon start` starts one all the same"),
            EnsureError::Unresponsive { .. } => of("unresponsive", ExitStatus::Unresponsive)
                .step("prove the daemon")
                .hint("`aileron daemon doctor` looks closer"),
            EnsureError::Elsewhere { elsewhere, pid, host } => {
                let place = match elsewhere {
                    Elsewhere::Host(_) => format!("on `{host}`"),
                    Elsewhere::Boot => format!("on another boot of `{host}`, or another machine of that name"),
                    Elsewhere::Namespace => format!("in another container or namespace of `{host}`"),
                };
                of("elsewhere", ExitStatus::Elsewhere).step("reach the daemon").hint(&format!(
                    "its record names pid {pid} {place}: use it there, or another directory here with --state-dir"
                ))
            }
            EnsureError::StartInProgress { step, pid, elapsed } => {
                let launched =
                    |pid| Launched { pid, elapsed: *elapsed, end: None, log: None, tail: String::new() };
                let who = pid.map_or_else(|| "it".to_owned(), |pid| format!("process {pid}"));
                let hint = format!(
                    "{who} was left alone: try again, perhaps with a longer --timeout; `aileron daemon logs` says what it does"
                );
                let failure = of("start_in_progress", ExitStatus::StartInProgress).step(step).hint(&hint);
                Self { launch: pid.map(launched), ..failure }
            }
            EnsureError::Incompatible { misfit, .. } => of("incompatible", ExitStatus::Incompatible)
                .step("use the daemon that runs")
                .hint(match misfit {
                    Misfit::NotOlder => "upgrade this program, or use another directory with --state-dir",
                    Misfit::StartsOff => "`aileron daemon start` replaces it, unless it is busy",
                    _ => "`aileron daemon stop` ends it, and the next call starts this version",
                }),
            EnsureError::NoneStayed { .. } => of("none_stayed", ExitStatus::Failed)
                .step("start the daemon")
                .hint("`aileron daemon run` shows what happens"),
            EnsureError::KeepsVanishing { path } => {
                of("state_dir", ExitStatus::Failed)
                    .at(path)
                    .step("create the state directory")
                    .hint("something removes it as fast as it is made: find out what, or name another with --state-dir")
            }
            _ => match error {
                EnsureError::StateDir(error) | EnsureError::Gate(AcquireError::StateDir(error)) => error.into(),
                EnsureError::Probe(error) => error.into(),
                EnsureError::Gate(error) => {
                    Self { step: Some("use the start gate".to_owned()), ..error.into() }
                }
                EnsureError::Hold(error) => error.into(),
                EnsureError::Launch(error) => error.into(),
                error => Self::of("start", ExitStatus::Failed, &error),
            },
        }
    }
}

impl From<StopError> for Failure {
    fn from(error: StopError) -> Self {
        let of = |kind, status| Self::of(kind, status, &error).step("stop the daemon");
        match &error {
            StopError::GateBusy { .. } => of("gate_busy", ExitStatus::Failed)
                .hint("another client is starting or stopping one; try again"),
            StopError::Unproved { .. } => of("unproved", ExitStatus::Unresponsive)
                .hint("`aileron daemon doctor` looks closer"),
            StopError::StillRunning { .. } => of("still_running", ExitStatus::Failed)
                .hint("it was told to end, and finishes what it has accepted: wait for it, or `aileron daemon stop --force` kills it"),
            StopError::PortOpen { .. } => of("port_open", ExitStatus::Failed)
                .hint("see who listens there (`ss -ltnp`): a child of its, or somebody who has taken the port since"),
            StopError::Unseen { lock, .. } => of("unseen", ExitStatus::Failed)
                .at(lock)
                .hint("run it where `/proc` shows the daemon, or make the lock readable again (`chmod 600`), and say it again"),
            StopError::Signal { .. } => {
                of("signal", ExitStatus::Failed).hint("run it as the user whose daemon it is, and outside of a sandbox")
            }
            _ => match error {
                StopError::StateDir(error) => error.into(),
                StopError::Probe(error) => error.into(),
                StopError::Gate(error) => {
                    Self { step: Some("use the start gate".to_owned()), ..error.into() }
                }
                StopError::Hold(error) => error.into(),
                error => Self::of("stop", ExitStatus::Failed, &error),
            },
        }
    }
}

impl From<RestartError> for Failure {
    fn from(error: RestartError) -> Self {
        let message = in_one_line(&error);
        let of_check = || {
            Self::new("check", ExitStatus::Failed, message.clone())
                .step("check that a new daemon could start")
                .hint("mend what it says; `aileron daemon run --check` with the same options tries no more than that")
        };
        match error {
            RestartError::Program { .. } => of_check().hint("check that the file is there and executable"),
            RestartError::Check { said, .. } | RestartError::CheckSlow { said, .. } => of_check().saying(&said),
            RestartError::Gone { source, .. } => {
                let failure = Self::from(source);
                let then = "mend that, and `aileron daemon start` starts one: it takes the same options";
                let hint = failure.advice().map_or(then.to_owned(), |hint| format!("{hint}; {then}"));
                Self { message, hint: Some(hint), shortage: None, ..failure }
            }
            RestartError::Stop(error @ StopError::StillRunning { .. }) => Self::from(error)
                .hint("it was told to end, and no other was started: wait for it, or `aileron daemon restart --force` kills it"),
            RestartError::Stop(error) => error.into(),
            RestartError::Start(error) => error.into(),
            error => Self::of("restart", ExitStatus::Failed, &error),
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let of = |kind| Self::of(kind, ExitStatus::Failed, &error);
        match &error {
            ServeError::Run(RunError::Config(_)) => Self { status: ExitStatus::Usage, ..of("usage") },
            ServeError::Run(RunError::Bind { address, source }) => {
                of("bind").step("listen").hint(&RunError::bind_advice(*address, source))
            }
            ServeError::Run(RunError::Publish(error)) => of("publish")
                .at(error.path())
                .step("publish the record")
                .hint("see what stands there (`ls -ld`, `lsattr`): it must be yours to write and to remove"),
            ServeError::Run(_) => of("serve").step("start").hint("`aileron daemon doctor` looks closer"),
            ServeError::Log(_) => of("log").step("open the log").hint("`aileron daemon doctor` looks closer"),
            _ => match error {
                ServeError::Lock(error) => error.into(),
                error => Self::of("serve", ExitStatus::Failed, &error),
            },
        }
    }
}
