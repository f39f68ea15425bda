//! When a listening port is closed, seen from outside and without a word to whoever listens.
//!
//! A socket that asks to share the address may be bound to a port where connections are still open, but not where
//! somebody listens (`SO_REUSEADDR` in socket(7)). A try is three system calls, and touches neither the listener's queue
//! nor its process. `/proc/net/tcp` would tell too, but takes the kernel 2 ms to write.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

/// Between two tries. With the timer's slack (50 µs by default, prctl(2)) it is what the moment is good to.
pub(super) const PAUSE: Duration = Duration::from_micros(100);

/// A wait for a port's end that has begun.
pub(super) struct Closing {
    thread: JoinHandle<io::Result<Option<Instant>>>,
}

impl Closing {
    /// Begins to wait in a thread of its own.
    pub(super) fn of(port: u16, patience: Duration) -> Self {
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            while begun.elapsed() < patience {
                if !is_listened_on(port)? {
                    return Ok(Some(Instant::now()));
                }
                std::thread::sleep(PAUSE);
            }
            Ok(None)
        });
        Self { thread }
    }

    /// When the port was closed; nothing, if it wasn't in time.
    pub(super) fn moment(self) -> Result<Option<Instant>> {
        self.thread.join().expect("waiting for a port does not panic").context("cannot try a port")
    }
}

fn is_listened_on(port: u16) -> io::Result<bool> {
    let probe = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&probe, true)?;
    match bind(&probe, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) => Ok(false),
        Err(Errno::ADDRINUSE) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_port_is_closed_with_its_listener_though_connections_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("address").port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected");
        let (server, _) = listener.accept().expect("accepted");
        assert!(is_listened_on(port).expect("tried"));
        assert_eq!(Closing::of(port, Duration::from_millis(5)).moment().expect("tried"), None);
        let closing = Closing::of(port, Duration::from_secs(10));
        let before = Instant::now();
        drop(listener);
        assert!(closing.moment().expect("tried").expect("closed") >= before);
        drop((client, server));
    }
}
