//! Failures as people and programs see them: what happened, where, at which step, what to do next, which exit status.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{AcquireError, Barrier, HoldError, ProbeError, StateDirError};
use aileron_server::{RunError, ServeError};
use aileron_spawn::{EnsureError, FindError, LaunchError, Misfit, StopError};
use serde_json::{Value, json};

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
    /// The last lines of a failed launch.
    tail: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: &'static str, status: ExitStatus, message: impl Into<String>) -> Self {
        Self { kind, status, message: message.into(), path: None, step: None, hint: None, tail: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", ExitStatus::Usage, message).hint("`aileron --help` lists what can be said")
    }

    /// One whose message is an error with its causes.
    fn of(kind: &'static str, status: ExitStatus, error: &dyn Error) -> Self {
        Self::new(kind, status, in_one_line(error))
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

    fn tail(mut self, tail: &str) -> Self {
        self.tail = (!tail.is_empty()).then(|| tail.to_owned());
        self
    }

    /// As `--json` prints it, under `error`.
    pub(crate) fn document(&self) -> Value {
        json!({
            "kind": self.kind,
            "message": self.message,
            "path": self.path.as_ref().map(|path| path.to_string_lossy()),
            "step": self.step,
            "hint": self.hint,
            "exit_status": self.status.code(),
            "tail": self.tail,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(step) = &self.step {
            write!(f, "\n  step: {step}")?;
        }
        if let Some(path) = self.path.as_ref().filter(|path| !self.message.contains(&*path.to_string_lossy()))
        {
            write!(f, "\n  path: {}", path.display())?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  next: {hint}")?;
        }
        for line in self.tail.iter().flat_map(|tail| tail.lines()) {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

impl From<StateDirError> for Failure {
    fn from(error: StateDirError) -> Self {
        let mut failure = Self::of("state_dir", ExitStatus::Failed, &error);
        failure.path = error.path().map(Path::to_owned);
        let (step, hint) = match &error {
            StateDirError::NoHome { .. } => {
                ("choose the state directory", "set HOME, or name one with --state-dir")
            }
            StateDirError::Io { step, .. } => (*step, "check that its parent exists and is yours to write"),
            StateDirError::Symlink { .. } => ("open the state directory", "name the directory it points to"),
            StateDirError::WritableByOthers { .. } => {
                ("open the state directory", "chmod 700 it, or name another")
            }
            _ => ("open the state directory", "name another with --state-dir"),
        };
        failure.step(step).hint(hint)
    }
}

/// What to do about a file that cannot be opened.
fn remedy(path: &Path, error: &std::io::Error, otherwise: &str) -> String {
    Barrier::of(path, error).map_or_else(|| otherwise.to_owned(), |barrier| barrier.to_string())
}

/// What helps where a file system has no locks, or none that count.
const LOCAL: &str = "choose a state directory on a local file system";

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        let failure = Self::of("lock", ExitStatus::Failed, &error).step("look at the lock");
        match error {
            ProbeError::StateDir(error) => error.into(),
            ProbeError::NotAFile { path, .. } => {
                failure.at(&path).hint("move what stands there away; nothing here removes it")
            }
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
            AcquireError::Held { path } => Self { status: ExitStatus::AlreadyRunning, ..failure }.at(&path),
            AcquireError::NotAFile { path, .. } => {
                failure.at(&path).hint("move what stands there away; nothing here removes it")
            }
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
            LaunchError::Failed { failure: said, tail, log, .. } => Self {
                path: Some(said.path.map_or(log, PathBuf::from)),
                step: Some(said.step),
                hint: said.hint.or_else(|| Some("`aileron daemon logs` may say more".to_owned())),
                ..failure
            }
            .tail(&tail),
            LaunchError::Exited { tail, log, .. } => {
                failure.at(&log).hint("`aileron daemon run` shows what happens").tail(&tail)
            }
            LaunchError::Spawn { program, .. } => {
                failure.at(&program).hint("check that the file is there and executable")
            }
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
            EnsureError::Unresponsive { pid, .. } => {
                unresponsive(of("unresponsive", ExitStatus::Unresponsive), *pid)
            }
            EnsureError::Elsewhere { pid, host, .. } => {
                of("elsewhere", ExitStatus::Elsewhere).step("reach the daemon").hint(&format!(
                    "it is pid {pid} on `{host}`; use it there, or choose another state directory here"
                ))
            }
            EnsureError::StartInProgress { step, .. } => of("start_in_progress", ExitStatus::StartInProgress)
                .step(step)
                .hint("it was left alone: try again, perhaps with a longer --timeout; `aileron daemon logs` says what it does"),
            EnsureError::Incompatible { misfit, .. } => of("incompatible", ExitStatus::Incompatible)
                .step("use the daemon that runs")
                .hint(match misfit {
                    Misfit::NotOlder => "upgrade this program, or use another state directory",
                    _ => "`aileron daemon stop` ends it, and the next call starts this version",
                }),
            EnsureError::NoneStayed { .. } => of("none_stayed", ExitStatus::Failed)
                .step("start the daemon")
                .hint("`aileron daemon run` shows what happens"),
            EnsureError::KeepsVanishing { path } => {
                of("state_dir", ExitStatus::Failed).at(path).step("create the state directory")
            }
            _ => match error {
                EnsureError::StateDir(error) => error.into(),
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

/// A lock that is held, with nobody behind it who answers.
pub(crate) fn unresponsive(failure: Failure, pid: Option<u32>) -> Failure {
    let who = pid.map(|pid| format!("its record names pid {pid}; ")).unwrap_or_default();
    failure.step("prove the daemon").hint(&format!("{who}`aileron daemon stop --force` ends it"))
}

impl From<StopError> for Failure {
    fn from(error: StopError) -> Self {
        let of = |kind, status| Self::of(kind, status, &error).step("stop the daemon");
        match &error {
            StopError::GateBusy { .. } => of("gate_busy", ExitStatus::Failed)
                .hint("another client is starting or stopping one; try again"),
            StopError::Unproved { .. } => of("unproved", ExitStatus::Unresponsive)
                .hint("see who has `daemon.lock` open (`fuser`); nothing here ends what it cannot prove"),
            StopError::StillRunning { .. } => of("still_running", ExitStatus::Failed)
                .hint("`aileron daemon stop --force` kills it at the deadline"),
            StopError::PortOpen { .. } => of("port_open", ExitStatus::Failed)
                .hint("see who listens there (`ss -ltnp`): it may be a child of its"),
            StopError::Signal { .. } => {
                of("signal", ExitStatus::Failed).hint("are you its user, outside of a sandbox?")
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

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let of = |kind| Self::of(kind, ExitStatus::Failed, &error);
        match &error {
            ServeError::Run(RunError::Config(_)) => Self { status: ExitStatus::Usage, ..of("usage") },
            ServeError::Run(RunError::Bind { .. }) => {
                of("bind").step("listen").hint("is the port in use? port 0 has a free one chosen")
            }
            ServeError::Run(RunError::Publish(_)) => of("publish").step("publish the record"),
            ServeError::Run(_) => of("serve").step("start"),
            ServeError::Log(_) => of("log").step("open the log"),
            _ => match error {
                ServeError::Lock(error) => error.into(),
                error => Self::of("serve", ExitStatus::Failed, &error),
            },
        }
    }
}
