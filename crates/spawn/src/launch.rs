//! Launching a daemon and hearing how it went.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use aileron_discovery::protocol::launch::{Failure, LaunchMessage, MAX_MESSAGE};
use aileron_discovery::{Advertisement, Deadline, StateDir, StateFile, Tool, failpoint};

use crate::sys::{self, Heard, Launched};

/// How much of the end of a failed launch's output is shown, in bytes.
const TAIL: u64 = 8 * 1024;

/// How long a daemon that has failed, or did not prove itself, may take to be gone before it is reported without its end.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// How long a program that is open for writing (`ETXTBSY`) may take to be whole: an installer's last write, or a child of the
/// installer's between `fork` and `exec`, which has its descriptors for a moment.
const BEING_WRITTEN: Duration = Duration::from_millis(500);

/// What of the caller's environment a daemon is given. Everything else would be frozen into it for its whole life: the
/// proxy, the virtual environment, the secrets of whichever shell happened to need it first.
const ENVIRONMENT: [&str; 10] =
    ["HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE", "SYSTEMROOT"];

/// Variables by their beginning.
const ENVIRONMENT_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// Which program a daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The one that this process is. Its file is looked for when it is launched and not before: finding a daemon needs none.
    ThisOne,
    /// This file. A relative path begins at the caller's working directory; `PATH` is not searched.
    File(PathBuf),
}

/// How a daemon is launched.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: Program,
    /// Its arguments; `--launch-fd N` is appended.
    pub args: Vec<OsString>,
    /// Variables beyond the allow-list (`HOME`, `USER`, `LOGNAME`, `PATH`, `SHELL`, `LANG`, `LC_*`, `TZ`, `TMPDIR`,
    /// `XDG_*`, `RUST_BACKTRACE`), which are all it is given.
    pub env: Vec<(OsString, OsString)>,
}

/// How a launched process ended; `None` where the system told others: a caller that ignores `SIGCHLD`, or has a thread that
/// waits for any child, has its children's ends taken from it (`wait(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildEnd(pub Option<ExitStatus>);

impl ChildEnd {
    /// Its exit status, if it exited.
    pub fn code(self) -> Option<i32> {
        self.0?.code()
    }

    /// The signal that ended it, if one did. There are none on Windows.
    pub fn signal(self) -> Option<i32> {
        sys::signal_of(self.0?)
    }
}

impl fmt::Display for ChildEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.code(), self.signal()) {
            (_, Some(code), _) => write!(f, "exited with status {code}"),
            (_, None, Some(signal)) => write!(f, "was ended by signal {signal}"),
            (Some(_), None, None) => f.write_str("ended"),
            (None, ..) => f.write_str("ended (how, this process cannot hear: it ignores SIGCHLD)"),
        }
    }
}

/// Why no daemon came of a launch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// This program's own file cannot be named.
    #[error("cannot find this program's own file")]
    NoProgram(#[source] io::Error),
    /// The program was removed since this process started.
    #[error("this program was removed: `{path}` is gone; install it again")]
    ProgramGone {
        /// Where it was.
        path: PathBuf,
    },
    /// The program cannot be executed.
    #[error("cannot execute `{program}`")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon said why it cannot start.
    #[error("the daemon (pid {pid}) gave up after {} ms: {}", elapsed.as_millis(), failure.message)]
    Failed {
        /// Its pid.
        pid: u32,
        /// What it said.
        failure: Box<Failure>,
        /// When it said so, since the launch.
        elapsed: Duration,
        /// How it ended then; `None`: it had not, a second later.
        end: Option<ChildEnd>,
        /// The last lines of this launch.
        tail: String,
        /// Where an earlier daemon's lines are.
        log: PathBuf,
    },
    /// The daemon ended without a word, or before it could prove that it is ready.
    #[error("the daemon (pid {pid}) {end} after {} ms, before it was proved ready", elapsed.as_millis())]
    Exited {
        /// Its pid.
        pid: u32,
        /// How.
        end: ChildEnd,
        /// Since the launch.
        elapsed: Duration,
        /// The last lines of this launch.
        tail: String,
        /// Where an earlier daemon's lines are.
        log: PathBuf,
    },
}

/// How a launch went, where it did not fail.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It says that it serves.
    Ready { record: Box<Advertisement>, launched: Running },
    /// Another process holds the lock: look again.
    Held,
    /// The directory or the lock went away: begin again.
    Lost,
    /// It lives, and has not said anything by the deadline. It is left alone.
    Pending { pid: u32 },
}

impl Launch {
    /// Launches the program that this process is, with other arguments.
    pub fn of_this_program(args: Vec<OsString>) -> Self {
        Self { program: Program::ThisOne, args, env: Vec::new() }
    }

    /// Launches the program that this process is, as the daemon of this directory: with `args`, which its hidden entry takes,
    /// and told by the tool's own variables which directory is meant and what it logs.
    pub fn daemon_of<A: Into<OsString>>(state_dir: &StateDir, args: impl IntoIterator<Item = A>) -> Self {
        let tool = state_dir.tool();
        Self::of_this_program(args.into_iter().map(Into::into).collect())
            .with_env(tool.env_var("STATE_DIR"), state_dir.root())
            .passing_on(tool, &["LOG", "LOG_LEVEL"])
    }

    /// The same launch with those of the tool's variables, by their suffixes, that are set for this process.
    #[must_use]
    pub fn passing_on(self, tool: &Tool, suffixes: &[&str]) -> Self {
        let set = suffixes.iter().filter_map(|suffix| Some((tool.env_var(suffix), tool.env(suffix)?)));
        set.fold(self, |launch, (name, value)| launch.with_env(name, value))
    }

    /// The same launch with one more variable.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Launches, and waits until the daemon is ready, has failed, or the deadline passes.
    pub(crate) fn start(&self, state_dir: &StateDir, deadline: &Deadline) -> Result<Outcome, LaunchError> {
        let program = self.program.file()?;
        let began = Deadline::after(Duration::MAX);
        let env = self.environment();
        let launched = once_written(deadline, || sys::launch(&program, &self.args, &env))
            .map_err(|source| LaunchError::Spawn { program, source })?;
        failpoint!("launched");
        let running = Running { launched, began, log: state_dir.path(StateFile::Log) };
        running.listen(deadline)
    }

    /// Has the same program, in the same environment, do something that comes to an end by itself, and waits for that end.
    pub(crate) fn rehearse(&self, args: &[OsString], deadline: &Deadline) -> Result<Rehearsal, LaunchError> {
        let program = self.program.file()?;
        let env = self.environment();
        let mut launched = once_written(deadline, || sys::launch_to_end(&program, args, &env))
            .map_err(|source| LaunchError::Spawn { program, source })?;
        let end = loop {
            match sys::hear(&mut launched, deadline, &mut Vec::new()) {
                Heard::Bytes => {}
                Heard::Gone(status) => break Some(ChildEnd(status)),
                Heard::Deadline => break None,
            }
        };
        if end.is_none() {
            // Gone already is as well. It may be in the kernel's hands for a while, and nobody waits for that here.
            let _gone_already = match &launched.handle {
                Some(handle) => handle.signal(sys::Signal::Kill),
                None => launched.child.kill(),
            };
            let Launched { child, mut output, .. } = launched;
            let said = tail(&mut output);
            reap_child(child);
            return Ok(Rehearsal { end, said });
        }
        Ok(Rehearsal { end, said: tail(&mut launched.output) })
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env: Vec<_> = std::env::vars_os().filter(|(name, _)| is_allowed(name)).collect();
        env.extend(self.env.iter().cloned());
        env
    }
}

fn reap_child(mut child: std::process::Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    let reaper = std::thread::Builder::new().name("aileron-reaper".to_owned()).stack_size(64 * 1024);
    // Without a thread the child stays a zombie until its parent ends: a table entry, no failure.
    let _left_unreaped = reaper.spawn(move || child.wait());
}

/// Tries again for a moment while the program's file is being written.
fn once_written(deadline: &Deadline, launch: impl Fn() -> io::Result<Launched>) -> io::Result<Launched> {
    let still_written = deadline.within(BEING_WRITTEN);
    loop {
        match launch() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && !still_written.passed() => {
                still_written.pause(Duration::from_millis(5));
            }
            launched => return launched,
        }
    }
}

/// How a command that was to end by itself went.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    /// `None`: it had not ended by the deadline, and was killed.
    pub(crate) end: Option<ChildEnd>,
    /// The last lines of what it wrote.
    pub(crate) said: String,
}

impl Program {
    /// After an upgrade this program's name reads `… (deleted)`; then it is the file that now stands there which is launched.
    fn file(&self) -> Result<PathBuf, LaunchError> {
        let program = match self {
            // Before the child's working directory is another. What has no absolute form is for the system to refuse.
            Self::File(path) => return Ok(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            Self::ThisOne => std::env::current_exe().map_err(LaunchError::NoProgram)?,
        };
        match sys::without_deleted_mark(&program) {
            Some(path) if !program.exists() && path.exists() => Ok(path),
            Some(path) if !program.exists() => Err(LaunchError::ProgramGone { path }),
            _ => Ok(program),
        }
    }
}

fn is_allowed(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        ENVIRONMENT.contains(&name) || ENVIRONMENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Has this process hear how its children end, whoever started it: a job runner that ignores `SIGCHLD` has each program below
/// it ignore it too (`sigaction(2)`), and then a [`LaunchError`] cannot tell how the daemon ended.
///
/// For the `main` of a program; a library changes no disposition of its program's.
///
/// # Platform notes
///
/// Does nothing where there are no signals.
pub fn hear_children() {
    sys::hear_children();
}

/// A launched process, and what is needed to say how it went.
#[derive(Debug)]
pub(crate) struct Running {
    launched: Launched,
    began: Deadline,
    log: PathBuf,
}

impl Running {
    fn listen(mut self, deadline: &Deadline) -> Result<Outcome, LaunchError> {
        let pid = self.launched.child.id();
        let mut said = Vec::new();
        loop {
            match sys::hear(&mut self.launched, deadline, &mut said) {
                Heard::Bytes if said.len() > MAX_MESSAGE => said.clear(),
                Heard::Bytes => match LaunchMessage::decode(&said) {
                    None => {}
                    Some(LaunchMessage::Ready { record }) => {
                        failpoint!("ready_heard");
                        return Ok(Outcome::Ready { record, launched: self });
                    }
                    Some(LaunchMessage::Held) => {
                        self.reap();
                        return Ok(Outcome::Held);
                    }
                    Some(LaunchMessage::Lost) => {
                        self.reap();
                        return Ok(Outcome::Lost);
                    }
                    Some(LaunchMessage::Failed(failure)) => return Err(self.failed(failure)),
                },
                Heard::Gone(status) => return Err(self.exited(ChildEnd(status))),
                Heard::Deadline => {
                    self.reap();
                    return Ok(Outcome::Pending { pid });
                }
            }
        }
    }

    /// Leaves nobody unreaped behind in a caller that lives on: one sleeping thread per living child, gone with it. A
    /// caller that exits takes the thread along, and the daemon becomes a child of init.
    pub(crate) fn reap(self) {
        reap_child(self.launched.child);
    }

    /// The error to report if the process has ended, or is just ending.
    pub(crate) fn if_gone(mut self) -> Option<LaunchError> {
        if let Some(end) = self.end_within(LAST_BREATH) {
            return Some(self.exited(end));
        }
        self.reap();
        None
    }

    fn exited(mut self, end: ChildEnd) -> LaunchError {
        LaunchError::Exited {
            pid: self.launched.child.id(),
            end,
            elapsed: self.began.elapsed(),
            tail: tail(&mut self.launched.output),
            log: self.log,
        }
    }

    /// What a daemon that says that it fails has written, once it is gone.
    fn failed(mut self, failure: Failure) -> LaunchError {
        let elapsed = self.began.elapsed();
        // What it wrote is shown whether it is gone by now or not.
        let end = self.end_within(LAST_BREATH);
        let error = LaunchError::Failed {
            pid: self.launched.child.id(),
            failure: Box::new(failure),
            elapsed,
            end,
            tail: tail(&mut self.launched.output),
            log: self.log.clone(),
        };
        self.reap();
        error
    }

    fn end_within(&mut self, patience: Duration) -> Option<ChildEnd> {
        let deadline = Deadline::after(patience);
        let mut rest = Vec::new();
        loop {
            match sys::hear(&mut self.launched, &deadline, &mut rest) {
                Heard::Bytes => rest.clear(),
                Heard::Gone(status) => return Some(ChildEnd(status)),
                Heard::Deadline => return None,
            }
        }
    }
}

fn tail(output: &mut File) -> String {
    let read = output.seek(SeekFrom::End(0)).and_then(|length| {
        output.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        output.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    });
    read.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_told_its_directory() {
        let tool = Tool::new("no-such-tool-here", "0.0.0");
        let state_dir = StateDir::resolve(&tool, Some(&std::env::temp_dir().join("some/where"))).unwrap();
        let launch = Launch::daemon_of(&state_dir, ["daemon", "serve"]);
        assert_eq!((launch.program, launch.args), (Program::ThisOne, vec!["daemon".into(), "serve".into()]));
        let told = (OsString::from("NO_SUCH_TOOL_HERE_STATE_DIR"), state_dir.root().into());
        assert_eq!(launch.env, [told], "and nothing of variables that are not set");
    }

    #[test]
    fn a_daemon_is_given_little_of_the_environment() {
        for name in ["HOME", "PATH", "LC_ALL", "XDG_RUNTIME_DIR"] {
            assert!(is_allowed(OsStr::new(name)), "{name}");
        }
        for name in ["HTTP_PROXY", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "VIRTUAL_ENV", "AILERON_STATE_DIR"]
        {
            assert!(!is_allowed(OsStr::new(name)), "{name}");
        }
    }
}
