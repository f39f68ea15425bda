//! Launching on Unix: a process that stands free of whoever started it.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pipe::PipeFlags;
use rustix::process::{Resource, Rlimit};

use super::Launched;

/// Starts `program ARGS --launch-fd N` in a session of its own: working directory `/`, umask 077, every signal at its
/// default, limits raised, exactly `env`, nothing of ours open but the launch pipe, output to a file without a name.
///
/// What stays, because an ordinary user's process cannot take it back: hard limits, namespaces, the cgroup, seccomp filters
/// and a raised `nice`. CPU affinity, scheduling policy and I/O priority stay too, so that all of a process's share of the
/// machine is one thing and follows one rule. A parent-death signal needs nothing: `fork(2)` clears it.
///
/// # Errors
///
/// What the system said of the pipes, the output file, or the program.
pub(crate) fn launch(
    program: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
) -> io::Result<Launched> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let write = above_the_streams(write)?;
    let told = [OsStr::new("--launch-fd").to_owned(), write.as_raw_fd().to_string().into()];
    spawn(program, &[args, &told].concat(), env, read, Some(write))
}

/// The same for a command that ends by itself and says with its exit status how it went: it is handed no pipe, and the one
/// that is returned has ended.
///
/// # Errors
///
/// As for [`launch`].
pub(crate) fn launch_to_end(
    program: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
) -> io::Result<Launched> {
    let (read, _) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    spawn(program, args, env, read, None)
}

fn spawn(
    program: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
    pipe: OwnedFd,
    inherited: Option<OwnedFd>,
) -> io::Result<Launched> {
    let output = super::nameless_file()?;
    let (hear, complain) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let complain = above_the_streams(complain)?;
    let image = Image::new(program, args, env)?;
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output.try_clone()?));
    become_free(&mut command, image, inherited.as_ref().map(OwnedFd::as_raw_fd), complain.as_raw_fd());
    let mut child = command.spawn()?;
    drop((inherited, complain));
    let mut errno = [0; 4];
    if File::from(hear).read_exact(&mut errno).is_ok() {
        // A caller that ignores SIGCHLD has no child to wait for; it is gone all the same.
        let _gone = child.wait();
        return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)));
    }
    let handle = super::ProcessHandle::open(child.id()).ok().flatten();
    Ok(Launched { child, handle, pipe: File::from(pipe), output })
}

/// A caller that has closed its standard streams is given their numbers for what it opens next, and the child would put its
/// own streams there.
fn above_the_streams(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?) }
}

/// What `execve(2)` is given, made before the fork: nothing can be allocated after it.
///
/// Not left to std, which calls `execvp(3)`: that hands a file of no known format, a program cut short by a full disk for
/// instance, to `/bin/sh`, which runs it as a script.
struct Image {
    program: CString,
    /// Each ends in a null pointer and points into the strings, which do not move with their owner.
    word_pointers: Vec<*const libc::c_char>,
    variable_pointers: Vec<*const libc::c_char>,
    _strings: [Vec<CString>; 2],
}

#[expect(unsafe_code, reason = "pointers for execve(2) are taken along to the child")]
// SAFETY: the pointers are to heap memory that the same value owns and that nothing changes.
unsafe impl Send for Image {}
#[expect(unsafe_code, reason = "as above")]
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    fn new(program: &Path, args: &[OsString], env: &[(OsString, OsString)]) -> io::Result<Self> {
        let string = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
        let words = std::iter::once(program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
        let arguments: Vec<_> = words.map(|word| string(word.as_bytes())).collect::<io::Result<_>>()?;
        // The last of two values is the one that counts, as it does where a program sets a variable.
        let variables: BTreeMap<_, _> = env.iter().map(|(name, value)| (name, value)).collect();
        let variables: Vec<_> = variables
            .into_iter()
            .map(|(name, value)| string(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect::<io::Result<_>>()?;
        let pointers = |strings: &[CString]| {
            strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (word_pointers, variable_pointers) = (pointers(&arguments), pointers(&variables));
        Ok(Self {
            program: string(program.as_os_str().as_bytes())?,
            word_pointers,
            variable_pointers,
            _strings: [arguments, variables],
        })
    }

    /// Returns only with why it could not.
    #[expect(unsafe_code, reason = "execve(2)")]
    fn execute(&self) -> io::Error {
        // SAFETY: the strings are terminated, the arrays end in a null pointer, and `self` lives through the call.
        unsafe {
            libc::execve(self.program.as_ptr(), self.word_pointers.as_ptr(), self.variable_pointers.as_ptr())
        };
        io::Error::last_os_error()
    }
}

/// What goes wrong after the fork is told on a pipe of ours and not by an error to std, which would wait for the child and
/// panics where the caller ignores `SIGCHLD`, because then there is none to wait for.
#[expect(unsafe_code, reason = "what happens between fork and exec is said here")]
fn become_free(command: &mut Command, image: Image, inherited: Option<RawFd>, complain: RawFd) {
    let between_fork_and_exec = move || {
        let error = match stand_free(inherited) {
            Ok(()) => image.execute(),
            Err(error) => error,
        };
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
        // SAFETY: the number is open: its owner lives in the parent until after the fork, of which this is the copy.
        let complain = unsafe { BorrowedFd::borrow_raw(complain) };
        // Four bytes fit into an empty pipe. If they do not arrive, the exit below is heard as the end of the daemon.
        let _told = rustix::io::write(complain, &errno);
        // SAFETY: it takes a number and does not return.
        unsafe { libc::_exit(127) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are made (signal-safety(7)), or system calls without any
    // state in this process: setsid, umask, signal, sigprocmask, getrlimit, setrlimit, open, write, close_range, fcntl,
    // execve, _exit. Nothing allocates.
    unsafe { command.pre_exec(between_fork_and_exec) };
}

fn stand_free(inherited: Option<RawFd>) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    reset_signals();
    raise_limits();
    super::reset_oom_score();
    // Marked and not closed: among them are the pipes on which it is heard that exec failed.
    super::mark_all_close_on_exec(3)?;
    inherited.map_or(Ok(()), keep_over_exec)
}

/// Soft limits (`getrlimit(2)`) are what a launcher wished for itself, hard ones what an administrator wants: the soft ones
/// that would end or choke a daemon some day go up to here, or to the hard one (`None`). Nothing is lowered.
///
/// - CPU time and file size: a `ulimit -t` or `-f` of a build job is a daemon killed by `SIGXCPU` or `SIGXFSZ` days later.
/// - Data, address space, processes: memory and threads that the daemon's own work needs.
/// - Descriptors: far more than the connections that are served at once, and no more: programs that a daemon starts may
///   close each number up to the limit one by one, and hard limits of 2^30 are common in containers.
/// - Stack: the usual size where it is less. Not to the hard one, for an unlimited stack changes the layout of the address
///   space (`mmap_base`), for the worse.
///
/// Core dumps stay as they were: whoever switched them off may have meant the secrets in memory, and a daemon has a token.
/// What is locked, queued or prioritised stays too: nothing here uses it.
const LIMITS: [(Resource, Option<u64>); 7] = [
    (Resource::Cpu, None),
    (Resource::Fsize, None),
    (Resource::Data, None),
    (Resource::As, None),
    (Resource::Nproc, None),
    (Resource::Nofile, Some(65_536)),
    (Resource::Stack, Some(8 * 1024 * 1024)),
];

fn raise_limits() {
    for (resource, enough) in LIMITS {
        let limit = rustix::process::getrlimit(resource);
        let goal = match (enough, limit.maximum) {
            (Some(enough), Some(hard)) => Some(enough.min(hard)),
            (enough, hard) => enough.or(hard),
        };
        let is_low = limit.current.is_some_and(|soft| goal.is_none_or(|goal| soft < goal));
        if is_low {
            let raised = Rlimit { current: goal, maximum: limit.maximum };
            // Where the system will not, the daemon has what it was left; it says in its log what is low.
            let _as_it_was = rustix::process::setrlimit(resource, raised);
        }
    }
}

#[expect(unsafe_code, reason = "signal(2) is not in rustix")]
pub(crate) fn hear_children() {
    // SAFETY: the default disposition needs no handler to be valid.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// std resets SIGPIPE and the mask only; a launcher under `nohup` or a job runner leaves others ignored.
#[expect(unsafe_code, reason = "signal(2) and sigprocmask(2) are not in rustix")]
fn reset_signals() {
    // SAFETY: dispositions become the default ones, which needs no handler to be valid; numbers that are no signal, or
    // that may not be changed, fail harmlessly. The set lives through both calls.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

#[expect(unsafe_code, reason = "a descriptor by number, after fork")]
fn keep_over_exec(number: RawFd) -> io::Result<()> {
    // SAFETY: the number is open: its owner, `inherited` in `spawn`, lives in the parent until after the fork, of which this is the copy.
    let kept = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_setfd(kept, rustix::io::FdFlags::empty())?)
}

/// The signal that ended a process, if one did.
pub(crate) fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal()
}

/// What `current_exe` gives after the file was replaced (`proc_pid_exe(5)`), less the mark.
pub(crate) fn without_deleted_mark(path: &Path) -> Option<std::path::PathBuf> {
    let stripped = path.as_os_str().as_bytes().strip_suffix(b" (deleted)")?;
    Some(std::path::PathBuf::from(OsStr::from_bytes(stripped)))
}

/// The way without `close_range`: as many as `ulimit -n` allows, within reason.
#[expect(unsafe_code, reason = "descriptors by number, after fork")]
pub(crate) fn mark_one_by_one(first: u32) -> io::Result<()> {
    let first = RawFd::try_from(first).map_err(|_| io::ErrorKind::InvalidInput)?;
    for number in first..65_536 {
        // SAFETY: borrowed for two calls that fail with EBADF where the number is not open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        if rustix::io::fcntl_getfd(descriptor).is_ok() {
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}
