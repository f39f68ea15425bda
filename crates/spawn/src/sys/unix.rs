//! Launching on Unix: a process that stands free of whoever started it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pipe::PipeFlags;

use super::Launched;

/// Starts `program ARGS --launch-fd N` in a session of its own: working directory `/`, umask 077, every signal at its
/// default, exactly `env`, nothing of ours open but the launch pipe, output to a file without a name.
///
/// # Errors
///
/// What the system said of the pipe, the output file, or the program.
pub(crate) fn launch(
    program: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
) -> io::Result<Launched> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let number = write.as_raw_fd();
    let told = [OsStr::new("--launch-fd").to_owned(), number.to_string().into()];
    spawn(program, &[args, &told].concat(), env, read, Some(number))
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
    inherited: Option<RawFd>,
) -> io::Result<Launched> {
    let output = super::nameless_file()?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output.try_clone()?));
    stand_free(&mut command, inherited);
    let child = command.spawn()?;
    Ok(Launched { child, pipe: File::from(pipe), output })
}

#[expect(unsafe_code, reason = "what happens between fork and exec is said here")]
fn stand_free(command: &mut Command, inherited: Option<RawFd>) {
    let between_fork_and_exec = move || {
        rustix::process::setsid()?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        reset_signals();
        // Marked and not closed: among them is the pipe on which std hears that exec failed.
        super::mark_all_close_on_exec(3)?;
        inherited.map_or(Ok(()), keep_over_exec)
    };
    // SAFETY: between fork and exec only async-signal-safe calls are made (signal-safety(7)): setsid, umask, signal,
    // sigprocmask, close_range, fcntl. Nothing allocates.
    unsafe { command.pre_exec(between_fork_and_exec) };
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
    // SAFETY: the number is open: its owner, `write` in `launch`, lives in the parent until after the fork, of which this is the copy.
    let kept = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_setfd(kept, rustix::io::FdFlags::empty())?)
}

/// How a process ended, in words.
pub(crate) fn end_in_words(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// What `current_exe` gives after the file was replaced (`proc_pid_exe(5)`), less the mark.
pub(crate) fn without_deleted_mark(path: &Path) -> Option<std::path::PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let stripped = path.as_os_str().as_bytes().strip_suffix(b" (deleted)")?;
    Some(std::path::PathBuf::from(OsStr::from_bytes(stripped)))
}

/// The way without `close_range`: as many as `ulimit -n` allows, within reason.
#[expect(unsafe_code, reason = "descriptors by number, after fork")]
pub(crate) fn mark_one_by_one(first: u32) -> io::Result<()> {
    let first = RawFd::try_from(first).map_err(|_| io::ErrorKind::InvalidInput)?;
    for number in first..65_536 {
        // SAFETY: borrowed for two calls that fail with EBADF where the number is not open.
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        if rustix::io::fcntl_getfd(descriptor).is_ok() {
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}
