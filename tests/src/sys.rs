//! What only `unsafe` code can ask of Linux: filters on system calls, and a mount namespace for one thread.

mod execs;

use std::io;

pub use execs::Execs;
use libc::{c_long, sock_filter, sock_fprog};

/// The architecture that a filter must see, or the numbers mean other calls (`seccomp(2)`; `AUDIT_ARCH_…`, linux/audit.h).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// Where `struct seccomp_data` has its number and its architecture.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// The system calls that can be made to fail, by name.
const CALLS: [(&str, c_long); 10] = [
    ("flock", libc::SYS_flock),
    ("inotify_init1", libc::SYS_inotify_init1),
    ("inotify_add_watch", libc::SYS_inotify_add_watch),
    ("statfs", libc::SYS_statfs),
    ("fsync", libc::SYS_fsync),
    ("fdatasync", libc::SYS_fdatasync),
    ("renameat", libc::SYS_renameat),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("close_range", libc::SYS_close_range),
    ("memfd_create", libc::SYS_memfd_create),
];

const ERRORS: [(&str, i32); 14] = [
    ("0", 0),
    ("EPERM", libc::EPERM),
    ("EIO", libc::EIO),
    ("EACCES", libc::EACCES),
    ("EINVAL", libc::EINVAL),
    ("ENFILE", libc::ENFILE),
    ("EMFILE", libc::EMFILE),
    ("ENOSPC", libc::ENOSPC),
    ("EROFS", libc::EROFS),
    ("ENOMEM", libc::ENOMEM),
    ("ENOLCK", libc::ENOLCK),
    ("ENOSYS", libc::ENOSYS),
    ("EOPNOTSUPP", libc::EOPNOTSUPP),
    ("ESTALE", libc::ESTALE),
];

/// One system call that does nothing from now on, and what it says instead.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    call: u32,
    /// Zero: it says that all is well.
    error: u32,
}

impl Fault {
    /// `NAME=ERRNO`, or `NAME=0` for a call that lies.
    pub fn parse(text: &str) -> Option<Self> {
        let (call, error) = text.split_once('=')?;
        let (_, call) = CALLS.iter().find(|(name, _)| *name == call)?;
        let (_, error) = ERRORS.iter().find(|(name, _)| *name == error)?;
        Some(Self { call: u32::try_from(*call).ok()?, error: u32::try_from(*error).ok()? })
    }
}

/// Installs these faults for this process and for everything that it will start. They cannot be taken back.
///
/// # Errors
///
/// As `seccomp(2)` says.
#[expect(unsafe_code, reason = "rustix has no seccomp")]
pub fn install(faults: &[Fault]) -> io::Result<()> {
    let load = |at| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let answer = |what| statement(libc::BPF_RET | libc::BPF_K, what);
    let mut filter = vec![
        load(ARCHITECTURE_AT),
        skip_one_unless(ARCHITECTURE, true),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_AT),
    ];
    for fault in faults {
        filter.extend([skip_one_unless(fault.call, false), answer(libc::SECCOMP_RET_ERRNO | fault.error)]);
    }
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    let program =
        sock_fprog { len: filter.len().try_into().map_err(io::Error::other)?, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true)?;
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: the program and the filter it points to live through the call, which copies both.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn statement(code: u32, k: u32) -> sock_filter {
    let code = u16::try_from(code).expect("the codes of classic BPF have 16 bits");
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes on with the next instruction if what was loaded is `value`, and skips it else; the other way round if `inverted`.
fn skip_one_unless(value: u32, inverted: bool) -> sock_filter {
    let (jt, jf) = if inverted { (1, 0) } else { (0, 1) };
    sock_filter { jt, jf, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value) }
}

/// Gives this thread, and the children that it will have, a mount namespace of their own.
///
/// # Errors
///
/// As `unshare(2)` says: it takes `CAP_SYS_ADMIN`.
#[expect(
    unsafe_code,
    reason = "unsharing a descriptor table would break what others rely on; this unshares none"
)]
pub fn unshare_mounts() -> io::Result<()> {
    // SAFETY: descriptors stay shared. The working directory and the root become this thread's own, as copies.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?)
}

/// Has a hang-up end this process and its children, as by default: under `nohup` it is ignored, and a daemon that inherits
/// that keeps to it.
#[expect(unsafe_code, reason = "rustix has no sigaction")]
pub fn heed_hang_ups() {
    // SAFETY: the default action is no code of ours.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
}

/// Closes a standard stream, as a program does that has no use for it. The next thing that is opened gets its number.
#[expect(unsafe_code, reason = "a descriptor by its number")]
pub fn close_stream(number: i32) {
    // SAFETY: nothing in these helpers owns a standard stream; what is written there is lost, or goes to what is opened next.
    unsafe { rustix::io::close(number) };
}
