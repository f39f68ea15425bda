//! How often a program was executed, counted by the kernel and by nobody who has a part in it (`fanotify(7)`).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Room for some hundred events of 24 bytes; the kernel gives whole ones.
const ROOM: usize = 16 * 1024;

/// Where `struct fanotify_event_metadata` has its length and its descriptor.
const LENGTH_AT: std::ops::Range<usize> = 0..4;
const DESCRIPTOR_AT: std::ops::Range<usize> = 16..20;

/// The executions of one file, from now on, whoever makes them.
#[derive(Debug)]
pub struct Execs(File);

impl Execs {
    /// Begins to count.
    ///
    /// # Errors
    ///
    /// As `fanotify_init(2)` says: it takes `CAP_SYS_ADMIN`.
    #[expect(unsafe_code, reason = "rustix has no fanotify")]
    pub fn of(program: &Path) -> io::Result<Self> {
        let flags =
            libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_UNLIMITED_QUEUE;
        let opened = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE;
        // SAFETY: it takes numbers, and gives a descriptor that is nobody's yet.
        let group = unsafe { libc::fanotify_init(flags, opened.cast_unsigned()) };
        if group < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        let group = unsafe { File::from_raw_fd(group) };
        let path = std::ffi::CString::new(program.as_os_str().as_bytes())?;
        let (add, what) = (libc::FAN_MARK_ADD, libc::FAN_OPEN_EXEC);
        // SAFETY: the path lives through the call.
        let marked =
            unsafe { libc::fanotify_mark(group.as_raw_fd(), add, what, libc::AT_FDCWD, path.as_ptr()) };
        if marked == 0 { Ok(Self(group)) } else { Err(io::Error::last_os_error()) }
    }

    /// How many there were since the last call, or since it began.
    ///
    /// # Panics
    ///
    /// When the kernel gives what is no event.
    #[expect(unsafe_code, reason = "each event brings a descriptor by number")]
    pub fn count(&mut self) -> usize {
        let mut count = 0;
        let mut room = vec![0; ROOM];
        loop {
            let length = match self.0.read(&mut room) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return count,
                Err(error) => panic!("fanotify: {error}"),
            };
            let mut rest = &room[..length];
            while !rest.is_empty() {
                let number =
                    |at: std::ops::Range<usize>| i32::from_ne_bytes(rest[at].try_into().expect("four bytes"));
                let descriptor = number(DESCRIPTOR_AT);
                assert!(descriptor >= 0, "the queue has overflowed");
                // SAFETY: the event has brought it, and it is nobody's yet.
                drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
                rest = &rest[usize::try_from(number(LENGTH_AT)).expect("a length")..];
                count += 1;
            }
        }
    }
}
