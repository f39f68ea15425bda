//! One test's own home, and the end of everything that was started in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::call::{Call, Running};
use crate::daemon::Daemon;
use crate::facts::{PROMPT, until};
use crate::process::{Process, processes_mentioning};

/// The programs of this package, as cargo built them.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// The product.
    pub aileron: &'static Path,
    /// An embedder with routes of its own.
    pub service: &'static Path,
    /// An embedder that writes with a fencing token.
    pub fenced: &'static Path,
    /// An embedder that is slow to start, or fails.
    pub slow: &'static Path,
    /// Holds a lock and is no daemon.
    pub stranger: &'static Path,
    /// Gives a command a terminal.
    pub terminal: &'static Path,
    /// Acquires the lock again and again.
    pub acquire: &'static Path,
    /// Executes a program for which system calls fail, or lie.
    pub faults: &'static Path,
}

/// Where a bench has its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// Wherever temporary files go.
    Any,
    /// On a disk, where temporary files outlive a boot if they go to memory.
    Disk,
    /// On a tmpfs.
    Memory,
}

impl FileSystem {
    fn directory(self) -> PathBuf {
        let usual = std::env::temp_dir();
        let directory = match self {
            Self::Any => usual,
            Self::Disk if !is_tmpfs(&usual) => usual,
            Self::Disk => "/var/tmp".into(),
            Self::Memory => "/dev/shm".into(),
        };
        assert_eq!(is_tmpfs(&directory), self == Self::Memory || self == Self::Any && is_tmpfs(&directory));
        directory.canonicalize().expect("the directory for temporary files is there")
    }
}

fn is_tmpfs(directory: &Path) -> bool {
    // TMPFS_MAGIC of statfs(2).
    rustix::fs::statfs(directory).is_ok_and(|found| found.f_type == 0x0102_1994)
}

/// One test's own place.
#[derive(Debug)]
pub struct Bench {
    programs: Programs,
    temp: TempDir,
    home: PathBuf,
    started: Arc<Mutex<Vec<Arc<Process>>>>,
}

impl Bench {
    /// An empty home. Nothing is started and no state directory is made.
    pub fn on(file_system: FileSystem, programs: Programs) -> Self {
        static SUBREAPER: Once = Once::new();
        SUBREAPER.call_once(|| {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .expect("prctl(PR_SET_CHILD_SUBREAPER)");
            crate::sys::heed_hang_ups();
        });
        let temp = tempfile::Builder::new().prefix("aileron-test-").tempdir_in(file_system.directory());
        let temp = temp.expect("a temporary directory");
        // Another user's daemon must be able to get to its home.
        crate::set_mode(temp.path(), 0o755);
        let home = temp.path().join("users/home");
        fs::create_dir_all(&home).expect("a home");
        Self { programs, temp, home, started: Arc::default() }
    }

    /// The directory in which everything is, which goes with the bench.
    pub fn root(&self) -> &Path {
        self.temp.path()
    }

    /// `$HOME`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A name below the home, for what is no part of the state.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.home.join(".aileron")
    }

    /// A name in the state directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.state().join(name)
    }

    /// The programs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A copy of a program under another name: a tool's daemon is known by its program as well.
    pub fn named(&self, program: &Path, name: &str) -> PathBuf {
        let there = self.beside("bin").join(name);
        fs::create_dir_all(self.beside("bin")).expect("a directory in the home");
        // By another process: a program that is open for writing, if only in a fork of ours, cannot be executed.
        self.call("/bin/cp").arg(program).arg(&there).succeed();
        there
    }

    /// A user that nobody else on this machine is, for what concerns all processes or limits of one. Has the home.
    pub fn lone_user(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let user = 200_000 + std::process::id() % 100_000 * 64 + number;
        std::os::unix::fs::chown(&self.home, Some(user), Some(user)).expect("this test must be run as root");
        user
    }

    /// Any program, with this home and nothing else in its environment.
    pub fn call(&self, program: impl AsRef<Path>) -> Call {
        Call::new(program.as_ref(), &self.home, Arc::clone(&self.started))
    }

    /// The product.
    pub fn aileron(&self, args: &[&str]) -> Call {
        self.call(self.programs.aileron).args(args)
    }

    /// Any call, with these system calls failing for it and for whatever it starts: `flock=ENOLCK`, or `flock=0` for one
    /// that does nothing and says that all is well.
    pub fn faulty(&self, faults: &[&str], program: &Path) -> Call {
        self.call(self.programs.faults).args(faults).arg("--").arg(program)
    }

    /// Has a client start the daemon.
    pub fn start(&self, options: &[&str]) -> Daemon {
        self.aileron(&["daemon", "start"]).args(options).succeed();
        self.daemon()
    }

    /// Starts a daemon in the foreground.
    pub fn run(&self, options: &[&str]) -> Daemon {
        let running = self.aileron(&["daemon", "run"]).args(options).start();
        self.ready(&running)
    }

    /// Starts the embedder with routes of its own.
    pub fn service(&self, options: &[&str]) -> Daemon {
        let running = self.embedder(self.programs.service, options).start();
        self.ready(&running)
    }

    /// The daemon that a running command becomes.
    pub fn ready(&self, running: &Running) -> Daemon {
        Daemon::of(Arc::clone(&running.process), &self.state())
    }

    /// The call that makes a helper the daemon, in the foreground.
    pub fn embedder(&self, program: &Path, options: &[&str]) -> Call {
        self.call(program).arg("--state-dir").arg(self.state()).args(["daemon", "run"]).args(options)
    }

    /// The daemon that the record names.
    pub fn daemon(&self) -> Daemon {
        let pid = self.record()["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid");
        let process = Arc::new(Process::open(pid).expect("the recorded process is there"));
        self.keep(&process);
        Daemon::of(process, &self.state())
    }

    /// Has `process` ended with this bench.
    pub fn keep(&self, process: &Arc<Process>) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(process));
    }

    /// The record.
    pub fn record(&self) -> Value {
        let text = fs::read_to_string(self.file("daemon.json")).expect("there is a record");
        serde_json::from_str(&text).expect("the record is JSON")
    }

    /// Makes the state directory, private, with nothing in it.
    pub fn make_state(&self) {
        fs::create_dir_all(self.state()).expect("a state directory");
        crate::set_mode(&self.state(), 0o700);
    }

    /// The living daemons of this bench: every process that was launched for, or told, its state directory.
    pub fn daemons(&self) -> Vec<Process> {
        processes_mentioning(&self.state())
    }

    /// Waits until at most this one is left.
    pub fn only(&self, survivor: &Daemon) {
        until("one daemon is left", PROMPT, || {
            self.daemons().iter().all(|process| process.pid() == survivor.process.pid()).then_some(())
        });
        assert!(survivor.process.is_alive(), "and it lives");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let mut started = std::mem::take(&mut *self.started.lock().unwrap_or_else(PoisonError::into_inner));
        started.extend(processes_mentioning(self.temp.path()).into_iter().map(Arc::new));
        for process in &started {
            process.kill();
        }
        if std::thread::panicking() {
            return;
        }
        for process in &started {
            process.bury(PROMPT);
        }
        let left = processes_mentioning(self.temp.path());
        assert!(left.is_empty(), "left behind: {left:?}");
        fs::remove_dir_all(self.temp.path()).expect("the temporary directory can be removed");
    }
}
