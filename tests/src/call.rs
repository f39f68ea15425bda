//! One command, run to its end, with a deadline.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::facts::{PROMPT, until};
use crate::process::{End, Process};

/// No command takes longer than its own deadline of 30 s, and that is a failure here.
const PATIENCE: Duration = Duration::from_secs(40);

/// A command that is about to be run, with a cleared environment.
#[derive(Debug)]
pub struct Call {
    command: Command,
    started: Arc<Mutex<Vec<Arc<Process>>>>,
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub process: Arc<Process>,
    /// Its standard input, where that was asked for.
    pub stdin: Option<ChildStdin>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    began: Instant,
}

/// How a command went.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status.
    pub end: End,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took, until it was gone and its output had ended.
    pub took: Duration,
}

impl Call {
    pub(crate) fn new(program: &Path, home: &Path, started: Arc<Mutex<Vec<Arc<Process>>>>) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::null());
        Self { command, started }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without a variable.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// As another user.
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        use std::os::unix::process::CommandExt as _;
        self.command.uid(uid).gid(uid);
        self
    }

    /// Starts it.
    #[expect(clippy::zombie_processes, reason = "waited for by its handle")]
    pub fn start(mut self) -> Running {
        let began = Instant::now();
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A program that a test has just written may be open for writing in a child that another test has just forked.
        let written = || match self.command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
            spawned => Some(spawned),
        };
        let spawned = until("the program is not being written", PROMPT, written);
        let mut child = spawned.unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let process =
            Arc::new(Process::open(child.id()).expect("our own child cannot be gone before it is reaped"));
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&process));
        Running {
            process,
            stdin: child.stdin.take(),
            stdout: read_all(child.stdout.take().expect("piped")),
            stderr: read_all(child.stderr.take().expect("piped")),
            began,
        }
    }

    /// Starts it with a standard input that stays open.
    pub fn start_with_input(mut self) -> Running {
        self.command.stdin(Stdio::piped());
        self.start()
    }

    /// Starts it with its output in a file, which costs no thread that reads: for those that come by the hundred.
    #[expect(clippy::zombie_processes, reason = "waited for by its handle")]
    pub fn start_into(mut self, output: &File) -> Arc<Process> {
        let copy = || output.try_clone().expect("a descriptor is to be had");
        self.command.stdout(copy()).stderr(copy());
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let process =
            Arc::new(Process::open(child.id()).expect("our own child cannot be gone before it is reaped"));
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&process));
        process
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().finish(PATIENCE)
    }

    /// Runs it to its end, which must be exit status 0.
    pub fn succeed(self) -> Outcome {
        let shown = format!("{:?}", self.command);
        let outcome = self.run();
        assert_eq!(outcome.end, End::Status(0), "{shown}: {outcome:#?}");
        outcome
    }

    /// Runs it to its end, which must be this exit status.
    pub fn fail(self, status: i32) -> Outcome {
        let shown = format!("{:?}", self.command);
        let outcome = self.run();
        assert_eq!(outcome.end, End::Status(status), "{shown}: {outcome:#?}");
        outcome
    }
}

impl Running {
    /// Ends its standard input.
    #[must_use]
    pub fn end_input(mut self) -> Self {
        self.stdin = None;
        self
    }

    /// Waits for its end *and* for the end of its output, as a shell's `$(…)` does.
    pub fn finish(self, patience: Duration) -> Outcome {
        let end = self.process.wait(patience);
        let left = || patience.saturating_sub(self.began.elapsed()).max(Duration::from_secs(1));
        let text = |output: &Receiver<Vec<u8>>| {
            let bytes =
                output.recv_timeout(left()).expect("its output has not ended: somebody holds the pipe");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (stdout, stderr) = (text(&self.stdout), text(&self.stderr));
        Outcome { end, stdout, stderr, took: self.began.elapsed() }
    }
}

impl Outcome {
    /// Its standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The error document on its standard error.
    pub fn error(&self) -> Value {
        let document: Value =
            serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        document["error"].clone()
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a pipe can be read");
        sender.send(bytes)
    });
    receiver
}
