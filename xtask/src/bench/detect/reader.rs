//! The raw limit: a process that does nothing but what seeing a loss takes. It sleeps in `poll(2)` on the same watches as
//! a daemon, confirms an event with two `stat`s, tells the time, and exits.
//!
//! It is this program again, as a child of its own, in a release build like what it is compared with: a debug build took
//! 15 to 20 % longer. What it tells is the time of its own clock, so that neither the pipe nor our waking up is measured.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FlockOperation, flock, fstat, lstat};
use rustix::io::{Errno, read, write};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::stdio::stdout;

use crate::workspace::{Workspace, run_to_success};
use crate::world::clock::monotonic;
use crate::world::observe::wait_asleep;
use crate::world::process::{Departure, Process, wait_readable};

/// What the reader is called on the command line.
pub(crate) const COMMAND: &str = "bare-reader";
/// Files beside the lock that a daemon watches too.
const RECORDS: [&str; 2] = ["daemon.json", "daemon.pid"];
/// Says that the watches are in place.
const READY: &[u8] = b"R";

/// Is the reader: watches the lock until it is lost.
///
/// # Errors
/// When a watch cannot be placed.
pub(crate) fn run(lock: &Path) -> Result<()> {
    // It must not outlive a benchmark that is interrupted.
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot bind our life to the parent's")?;
    let held = File::options().read(true).write(true).open(lock).context("cannot open the lock")?;
    flock(&held, FlockOperation::NonBlockingLockExclusive).context("cannot take the lock")?;
    let events = watch(&held, lock).context("cannot watch the lock")?;
    let mounts = File::open("/proc/self/mountinfo").context("cannot watch the mounts")?;
    // One false alarm first, as a daemon has had its own publication: the code that follows is in memory then.
    std::fs::write(lock.with_file_name(RECORDS[0]), "{}").context("cannot rehearse")?;
    wait_for_event(&events, &mounts)?;
    ensure!(!is_lost(&held, lock).context("cannot look at the lock")?, "the lock is lost already");
    tell(READY)?;
    loop {
        wait_for_event(&events, &mounts)?;
        if is_lost(&held, lock).context("cannot look at the lock")? {
            let seen = u64::try_from(monotonic().as_nanos()).context("a clock that old")?;
            return tell(&seen.to_ne_bytes());
        }
    }
}

fn wait_for_event(events: &OwnedFd, mounts: &File) -> Result<()> {
    let mut sources = [PollFd::new(events, PollFlags::IN), PollFd::new(mounts, PollFlags::PRI)];
    poll(&mut sources, None).context("cannot wait for events")?;
    if !sources[0].revents().is_empty() {
        read(events, &mut [MaybeUninit::uninit(); 4096]).context("cannot read events")?;
    }
    Ok(())
}

fn tell(bytes: &[u8]) -> Result<()> {
    write(stdout(), bytes).map(drop).context("nobody hears a bare reader")
}

/// The watches of an armed daemon, on the same kinds of things for the same kinds of events.
fn watch(held: &File, lock: &Path) -> rustix::io::Result<OwnedFd> {
    let events = inotify::init(CreateFlags::CLOEXEC)?;
    let directory = lock.parent().ok_or(Errno::INVAL)?;
    let descriptor = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    inotify::add_watch(&events, descriptor, WatchFlags::ATTRIB | WatchFlags::MOVE_SELF)?;
    let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
    inotify::add_watch(&events, directory, WatchFlags::MOVE_SELF | names)?;
    for ancestor in directory.ancestors().skip(1) {
        inotify::add_watch(&events, ancestor, WatchFlags::MOVE_SELF)?;
    }
    for record in RECORDS {
        inotify::add_watch(&events, directory.join(record), WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE)?;
    }
    Ok(events)
}

fn is_lost(held: &File, lock: &Path) -> rustix::io::Result<bool> {
    let ours = fstat(held)?;
    match lstat(lock) {
        Ok(found) => Ok((found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(true),
        Err(error) => Err(error),
    }
}

/// This program's own release build.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    run_to_success(command.args(["build", "--release", "--package", "xtask"]))?;
    Ok(workspace.target_dir().join("release").join("xtask"))
}

/// A reader that sleeps, as the benchmark sees it.
pub(super) struct Reader {
    child: Child,
    process: Arc<Process>,
}

impl Reader {
    /// Starts one and waits until it is asleep on its watches.
    pub(super) fn start(program: &Path, lock: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["bench", COMMAND]).arg(lock).env_clear().current_dir("/").stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).spawn().context("cannot start a bare reader")?;
        let process = Arc::new(Process::open(child.id())?);
        let mut reader = Self { child, process };
        ensure!(reader.hear::<1>()? == READY, "a bare reader began with something else");
        wait_asleep(reader.process.pid())?;
        Ok(reader)
    }

    /// Begins to wait for its end.
    pub(super) fn departure(&self, patience: Duration) -> Departure {
        self.process.watch(patience)
    }

    /// When it was sure of the loss, on `CLOCK_MONOTONIC`.
    pub(super) fn seen(&mut self) -> Result<Duration> {
        self.hear().map(u64::from_ne_bytes).map(Duration::from_nanos)
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    fn hear<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        let pipe = self.child.stdout.as_ref().context("standard output is a pipe")?;
        let mut bytes = [0; LENGTH];
        let told = wait_readable(std::os::fd::AsFd::as_fd(pipe), Duration::from_secs(10));
        ensure!(told.context("cannot wait for a bare reader")?, "a bare reader says nothing");
        // So few bytes are written in one piece (pipe(7)).
        let count = read(pipe, &mut bytes).context("cannot hear a bare reader")?;
        ensure!(count == LENGTH, "a bare reader ended without a word");
        Ok(bytes)
    }
}
