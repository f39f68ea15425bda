//! Stopping a program at one system call: a filter that asks a supervisor (`seccomp_unotify(2)`), which lets the call go on
//! when it is told to.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use libc::{c_long, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};

/// The architecture whose numbers these are (`AUDIT_ARCH_…`, linux/audit.h).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// The calls that take a name away, and which of their arguments it is.
#[cfg(target_arch = "x86_64")]
const UNLINKS: [(c_long, usize); 2] = [(libc::SYS_unlinkat, 1), (libc::SYS_unlink, 0)];
#[cfg(target_arch = "aarch64")]
const UNLINKS: [(c_long, usize); 1] = [(libc::SYS_unlinkat, 1)];

/// Where `struct seccomp_data` has the number and the architecture.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// More than any name in a test.
const LONGEST: usize = 4096;

/// One call that waits.
#[derive(Debug)]
pub struct Waiting {
    id: u64,
    /// The path that it would unlink.
    pub path: String,
}

/// Has every `unlink` of this process, and of what it will execute, wait for whoever has the listener.
///
/// # Errors
///
/// As `seccomp(2)` says.
#[expect(unsafe_code, reason = "rustix has no seccomp")]
pub fn listen() -> io::Result<OwnedFd> {
    let mut filter = filter();
    let length = filter.len().try_into().map_err(io::Error::other)?;
    let program = sock_fprog { len: length, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true)?;
    // SAFETY: the program and the filter it points to live through the call, which copies both.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let listener = i32::try_from(listener).map_err(io::Error::other)?;
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the number is a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

fn filter() -> Vec<sock_filter> {
    let statement = |code: u32, k| {
        let code = u16::try_from(code).expect("the codes of classic BPF have 16 bits");
        sock_filter { code, jt: 0, jf: 0, k }
    };
    let load = |at| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let answer = |what| statement(libc::BPF_RET | libc::BPF_K, what);
    let equals = |value| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value);
    let mut filter = vec![
        load(ARCHITECTURE_AT),
        sock_filter { jt: 1, ..equals(ARCHITECTURE) },
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_AT),
    ];
    for (number, _) in UNLINKS {
        let number = u32::try_from(number).expect("the numbers of system calls are small");
        filter.extend([sock_filter { jf: 1, ..equals(number) }, answer(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    filter
}

/// The next call that waits; `None` once there is nobody left who could call.
///
/// # Errors
///
/// As `seccomp_unotify(2)` says.
#[expect(unsafe_code, reason = "rustix has no seccomp")]
pub fn next(listener: &OwnedFd) -> io::Result<Option<Waiting>> {
    use rustix::event::{PollFd, PollFlags};
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        match rustix::event::poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        if !ready[0].revents().contains(PollFlags::IN) {
            return Ok(None);
        }
        // SAFETY: a structure of numbers, for which zeroes are what the kernel wants to find.
        let mut call: seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one such structure, into valid memory.
        let received =
            unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
        if received == 0 {
            return Ok(Some(Waiting { id: call.id, path: path_of(&call)? }));
        }
        let error = io::Error::last_os_error();
        // The caller was killed, or interrupted, between the poll and this.
        if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) {
            return Err(error);
        }
    }
}

fn path_of(call: &seccomp_notif) -> io::Result<String> {
    let unlink = UNLINKS.iter().find(|(number, _)| *number == c_long::from(call.data.nr));
    let (_, argument) = unlink.ok_or(io::ErrorKind::Unsupported)?;
    let memory = File::open(format!("/proc/{}/mem", call.pid))?;
    let mut bytes = [0; LONGEST];
    // Short where the page after the name is not mapped.
    let count = memory.read_at(&mut bytes, call.data.args[*argument])?;
    let end = bytes[..count].iter().position(|byte| *byte == 0).unwrap_or(count);
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// Lets a call do what it wanted to.
///
/// # Errors
///
/// As `seccomp_unotify(2)` says; that the caller is gone is none.
#[expect(unsafe_code, reason = "rustix has no seccomp")]
pub fn go_on(listener: &OwnedFd, call: &Waiting) -> io::Result<()> {
    let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).map_err(io::Error::other)?;
    let mut answer = seccomp_notif_resp { id: call.id, val: 0, error: 0, flags };
    // SAFETY: the kernel reads one such structure, from valid memory.
    let sent = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    match sent {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            error => Err(error),
        },
    }
}

/// `fork(2)`: true in the child. For a program that has one thread.
///
/// # Errors
///
/// As the system says.
#[expect(unsafe_code, reason = "fork(2)")]
pub fn fork() -> io::Result<bool> {
    // SAFETY: the caller has one thread, so the child is a whole program.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid == 0),
    }
}
