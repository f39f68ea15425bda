//! The service manager's socket (`sd_notify(3)`).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where a service manager listens.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl NotifySocket {
    /// For a path (`/…`) or an abstract name (`@…`, `unix(7)`). Nothing is sent, and nobody need listen yet.
    ///
    /// # Errors
    ///
    /// A name of another kind (`vsock:…` goes to another machine), and what the system says.
    pub(crate) fn open(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor `@NAME`")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    /// Sends one datagram, without waiting. By name each time: a service manager that came back has another socket there.
    ///
    /// # Errors
    ///
    /// As the system says; `WouldBlock` where the socket is full.
    pub(crate) fn send(&self, text: &str) -> io::Result<()> {
        self.socket.send_to_addr(text.as_bytes(), &self.address).map(drop)
    }
}

/// The values of these variables, which are taken from the environment if this process has no other thread: nobody else can
/// then be reading it, and only this thread could start one who does.
#[expect(unsafe_code, reason = "the environment of a process may be read by any of its threads")]
pub(crate) fn take_variables<const N: usize>(names: [&str; N]) -> [Option<OsString>; N] {
    let is_alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    names.map(|name| {
        let value = std::env::var_os(name);
        if is_alone && value.is_some() {
            // SAFETY: this is the only thread of the process.
            unsafe { std::env::remove_var(name) };
        }
        value
    })
}
