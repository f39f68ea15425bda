//! The bell that wakes the keeper, the signals that ring it, and the standard streams.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Resource;

use super::{FileNews, Watcher, Woken};
use crate::ShutdownReason;
use crate::limits::Limits;

/// Has a listening socket queue up to so many connections; the kernel's own limit (`net.core.somaxconn`) stays above it.
/// `listen(2)` on a socket that listens only sets the length.
pub(crate) fn widen_backlog(listener: &impl AsFd, length: i32) -> io::Result<()> {
    Ok(rustix::net::listen(listener, length)?)
}

/// A self-pipe: a byte of 0 is a ring, any other the number of a signal.
///
/// A pipe and not a blocked mask with `signalfd(2)`: a blocked mask would be inherited by every child.
#[derive(Debug)]
pub(crate) struct Bell {
    read: OwnedFd,
    write: Arc<OwnedFd>,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { read, write: Arc::new(write) })
    }

    /// Wakes whoever waits. A full pipe will wake them as well.
    pub(crate) fn ring(&self) {
        if rustix::io::write(&self.write, &[0]).is_err() {}
    }

    /// Waits for a ring, a signal, a file event or the time-out.
    pub(crate) fn wait(&self, watcher: Option<&mut Watcher>, timeout: Duration) -> Woken {
        let mut sources = vec![PollFd::new(&self.read, PollFlags::IN)];
        if let Some(watcher) = &watcher {
            watcher.add_to(&mut sources);
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // EINTR is as good as a wake-up: the byte that the signal left is read below. Nothing else can fail here but
        // ENOMEM, which a later round finds mended or not.
        let ready = rustix::event::poll(&mut sources, Some(&timeout)).unwrap_or(1);
        let rung: Vec<PollFlags> = sources.iter().map(PollFd::revents).collect();
        drop(sources);
        if ready == 0 {
            return Woken::default();
        }
        // The loss comes first: it closes the fence.
        let events = watcher.map_or_else(FileNews::default, |watcher| watcher.take_news(&rung[1..]));
        Woken { signals: self.take_signals(), events }
    }

    fn take_signals(&self) -> Vec<ShutdownReason> {
        let mut signals = Vec::new();
        let mut buffer = [0; 64];
        loop {
            match rustix::io::read(&self.read, &mut buffer) {
                Ok(0) => return signals,
                Ok(count) => signals.extend(buffer[..count].iter().filter_map(|byte| reason_of(*byte))),
                Err(Errno::INTR) => {}
                Err(_) => return signals,
            }
        }
    }
}

fn reason_of(signal: u8) -> Option<ShutdownReason> {
    match i32::from(signal) {
        libc::SIGTERM => Some(ShutdownReason::Sigterm),
        libc::SIGINT => Some(ShutdownReason::Sigint),
        libc::SIGHUP => Some(ShutdownReason::Sighup),
        _ => None,
    }
}

/// What the signals do; once this is dropped they do nothing. (`signal-hook` leaves its handler in place, so the default
/// disposition does not come back: a process ends soon after its daemon.)
#[derive(Debug)]
pub(crate) struct Signals(Vec<signal_hook::SigId>);

impl Signals {
    /// Has `SIGTERM`, `SIGINT` and `SIGHUP` ring `bell`. `SIGHUP` is left alone if it is ignored now (`nohup(1)`).
    pub(crate) fn install(bell: &Bell) -> io::Result<Self> {
        outlive_full_files()?;
        let mut signals = Self(Vec::new());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            if signal != libc::SIGHUP || !is_ignored(signal)? {
                signals.0.push(ring_at(signal, Arc::clone(&bell.write))?);
                unblock(signal)?;
            }
        }
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

#[expect(unsafe_code, reason = "a signal handler is installed")]
fn ring_at(signal: i32, write: Arc<OwnedFd>) -> io::Result<signal_hook::SigId> {
    let byte = [u8::try_from(signal).map_err(io::Error::other)?];
    let handler = move || if rustix::io::write(&write, &byte).is_err() {};
    // SAFETY: the handler makes one write(2) on a descriptor that it keeps open: async-signal-safe (signal-safety(7)).
    unsafe { signal_hook::low_level::register(signal, handler) }
}

/// Has a write beyond `ulimit -f` fail with `EFBIG` (`setrlimit(2)`) instead of ending the process by `SIGXFSZ`: a log that
/// is full is no reason not to serve.
///
/// By a handler that does nothing and not by ignoring the signal, which the programs that a daemon starts would inherit.
#[expect(unsafe_code, reason = "a signal handler is installed")]
pub(crate) fn outlive_full_files() -> io::Result<()> {
    // SAFETY: the handler does nothing.
    unsafe { signal_hook::low_level::register(libc::SIGXFSZ, || {}) }.map(drop)
}

/// What this process may use (`getrlimit(2)`).
pub(crate) fn limits() -> Limits {
    let soft = |resource| rustix::process::getrlimit(resource).current;
    let memory = [Resource::As, Resource::Data].into_iter().filter_map(soft).min();
    Limits {
        cpu: soft(Resource::Cpu),
        file_size: soft(Resource::Fsize),
        descriptors: soft(Resource::Nofile),
        memory,
    }
}

/// A mask is inherited over `exec(2)`: whoever started this may have had the signal blocked, and then nobody here would hear it.
#[expect(unsafe_code, reason = "pthread_sigmask(3), which rustix does not offer")]
fn unblock(signal: i32) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: it initialises the set, whatever was in it.
    let emptied = unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set is initialised; a number that is no signal is an error.
    if emptied != 0 || unsafe { libc::sigaddset(set.as_mut_ptr(), signal) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the set is initialised; a null old set is not written.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[expect(
    unsafe_code,
    reason = "sigaction(2) is asked for the present disposition, which rustix does not offer"
)]
fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action changes nothing; the old one is written to valid memory.
    if unsafe { libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and so has written it.
    Ok(unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

/// Moves standard output and error to `file`.
pub(crate) fn redirect_output(file: &File) -> io::Result<()> {
    rustix::stdio::dup2_stdout(file)?;
    rustix::stdio::dup2_stderr(file)?;
    Ok(())
}

/// Ends the process at once: no destructor, no `atexit` handler, nothing that could wait.
#[expect(unsafe_code, reason = "_exit(2)")]
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(status.into()) }
}

/// Whether an `accept` failed because there is no descriptor left, for this process or the system.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// How many descriptors this process may have open (`getrlimit(2)`); `None`: there is no limit.
pub(crate) fn descriptor_limit() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map(|most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// The identity of an open file and of what stands at a path, when both can be told.
pub(crate) fn is_same_file(file: &File, path: &std::path::Path) -> Option<bool> {
    let held = rustix::fs::fstat(file).ok()?;
    match rustix::fs::lstat(path) {
        Ok(there) => Some((held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT) => Some(false),
        Err(_) => None,
    }
}

/// A poll entry that does not outlive the descriptor.
pub(crate) fn poll_on(fd: BorrowedFd<'_>, flags: PollFlags) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, flags)
}
