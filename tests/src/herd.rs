//! Clients by the hundred, let loose at one moment, and what the kernel saw of them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::process::{End, Process};
use crate::sys::Execs;
use crate::{Bench, lock_file, rounds, until};

/// A machine of two cores takes some seconds to start a thousand processes.
const MUSTER: Duration = Duration::from_mins(1);

/// How many clients to let loose: `AILERON_TEST_HERD`, else `default`.
pub fn herd_size(default: u32) -> u32 {
    rounds::number("AILERON_TEST_HERD")
        .map_or(default, |count| u32::try_from(count).expect("a number of clients"))
}

/// A herd behind its gate: each client is started and waits for the shared `flock` of a file (`flock(1)`), so that all of them
/// come at the moment at which that is freed.
#[derive(Debug)]
pub struct Herd {
    /// The clients.
    pub clients: Vec<Client>,
    execs: Execs,
    barrier: Option<File>,
}

/// One of a herd.
#[derive(Debug)]
pub struct Client {
    /// Its process.
    pub process: Arc<Process>,
    output: PathBuf,
}

/// Raises the limit on descriptors as far as it goes, so that there are enough for everybody's.
pub fn take_all_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(20_000);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), ..limit };
        setrlimit(Resource::Nofile, raised).expect("the soft limit may be raised to the hard one");
    }
}

impl Herd {
    /// So many clients `PROGRAM ARGS…`. They run a copy of the program, whose executions are counted from here on.
    pub fn behind_a_gate(bench: &Bench, count: u32, program: &Path, args: &[&str]) -> Self {
        take_all_descriptors();
        let copy = bench.beside("a-program-of-its-own");
        fs::copy(program, &copy).expect("the program can be copied");
        let execs = Execs::of(&copy).unwrap_or_else(|error| {
            panic!("fanotify: {error}: this test must be run as root, and in a container with CAP_SYS_ADMIN")
        });
        let gate = bench.beside("gate");
        let barrier = lock_file(&gate);
        let client = |number| {
            let output = bench.beside(&format!("output-{number}"));
            let call = bench.call("flock").args(["--shared", "--no-fork"]).arg(&gate).arg(&copy).args(args);
            let process = call.start_into(&File::create(&output).expect("a file for its output"));
            Client { process, output }
        };
        let clients: Vec<Client> = (0..count).map(client).collect();
        until("all of them wait", MUSTER, || (waiters(&gate) == clients.len()).then_some(()));
        Self { clients, execs, barrier: Some(barrier) }
    }

    /// Lets them loose.
    pub fn release(&mut self) {
        self.barrier = None;
    }

    /// Waits until each of them has come so far as to be executed.
    pub fn until_all_run(&self) {
        until("each of them runs", MUSTER, || {
            let waits = |client: &Client| client.process.proc("cmdline").starts_with("flock\0");
            (!self.clients.iter().any(waits)).then_some(())
        });
    }

    /// Waits for the end of each; its exit status and what it wrote. Those that were killed are among them.
    pub fn ends(&self, patience: Duration) -> Vec<(End, String)> {
        let end = |client: &Client| {
            let end = client.process.wait(patience);
            (end, fs::read_to_string(&client.output).expect("its output can be read"))
        };
        self.clients.iter().map(end).collect()
    }

    /// How many daemons were launched, which is told by the kernel: the program was executed so often more than there are
    /// clients, each of which must have run.
    pub fn launches(&mut self) -> usize {
        self.execs.count() - self.clients.len()
    }
}

impl Client {
    /// Times at which it gave up the processor of its own accord (`proc_pid_status(5)`); `None` once it is gone.
    pub fn switches(&self) -> Option<u64> {
        self.process.status_line("voluntary_ctxt_switches").parse().ok()
    }
}

/// How many processes wait for the `flock` of a file (`proc_locks(5)`).
fn waiters(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{} ", fs::metadata(path).expect("the file is there").ino());
    let locks = fs::read_to_string("/proc/locks").expect("/proc/locks can be read");
    locks.lines().filter(|line| line.contains("->") && line.contains(&inode)).count()
}

/// Who acquired the exclusive `flock` of a file that is held now (`proc_locks(5)`).
pub fn lock_holder(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{}", fs::metadata(path).ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").expect("/proc/locks can be read");
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words[..] else { return None };
        file.ends_with(&inode).then(|| pid.parse().ok())?
    })
}

/// The names that come and go in a directory, from now on.
#[derive(Debug)]
pub struct Names {
    watch: File,
    events: Vec<u8>,
}

impl Names {
    /// Begins to watch.
    pub fn of(directory: &Path) -> Self {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("an inotify instance");
        let what = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        inotify::add_watch(&watch, directory, what).expect("a watch on our own directory");
        Self { watch: File::from(watch), events: Vec::new() }
    }

    /// What happened to names so far: how often each came, and how often it went, be it by a rename.
    pub fn so_far(&mut self, name: &str) -> (usize, usize) {
        let mut room = [0; 4096];
        loop {
            match self.watch.read(&mut room) {
                Ok(count) => self.events.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("inotify: {error}"),
            }
        }
        let (mut came, mut went) = (0, 0);
        let mut rest = &self.events[..];
        // struct inotify_event (inotify(7)): wd, mask, cookie, length of the name, the name.
        while let Some((head, tail)) = rest.split_at_checked(16) {
            let number = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four bytes"));
            let (mask, length) = (WatchFlags::from_bits_retain(number(4)), number(12) as usize);
            let (shown, next) = tail.split_at(length);
            if shown.split(|byte| *byte == 0).next() == Some(name.as_bytes()) {
                came += usize::from(mask.intersects(WatchFlags::CREATE | WatchFlags::MOVED_TO));
                went += usize::from(mask.intersects(WatchFlags::DELETE | WatchFlags::MOVED_FROM));
            }
            rest = next;
        }
        (came, went)
    }
}
