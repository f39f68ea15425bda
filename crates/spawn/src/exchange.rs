//! One blocking connection to a daemon: proved, and then asked one thing.
//!
//! `http` is for looking: everybody is a stranger there, and silence has to be told from absence within 100 ms. Here the
//! daemon has been found, the token is at stake, and what counts is what may have been done with the request. Literal
//! addresses only: no name look-up and no proxy variable can come in between.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use aileron_discovery::protocol::control::DaemonState;
use aileron_discovery::protocol::handshake::{Challenge, Proof};
use aileron_discovery::protocol::{LEASE, route};
use aileron_discovery::{Advertisement, Deadline, Nonce};

use crate::answer::{self, Body};

/// How long the proof may take: as in a look.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(2);

/// How often a proof may take longer than it lasts, before the request is sent all the same.
pub(crate) const PROOFS: u32 = 3;

/// No proof is longer, in bytes.
pub(crate) const MAX_PROOF: usize = 16 * 1024;

/// No head of an answer is longer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// A connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    address: SocketAddr,
    deadline: Deadline,
    /// What was read and does not belong to an answer yet.
    read: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Cut {
    /// No byte of the request was sent.
    Unsent(io::Error),
    /// Some were.
    Sent(io::Error),
    /// The answer is longer than the cap.
    TooLarge,
}

impl Line {
    pub(crate) fn open(address: SocketAddr, deadline: Deadline) -> io::Result<Self> {
        let left = deadline.within(HANDSHAKE).remaining().ok_or(io::ErrorKind::TimedOut)?;
        let stream = TcpStream::connect_timeout(&address, left)?;
        // Both messages are one write each, and neither waits for the other's acknowledgement.
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, deadline, read: Vec::new() })
    }

    /// Has whoever is at the other end prove that it is the recorded daemon, and means to stay. Nothing secret is sent.
    fn prove(&mut self, record: &Advertisement) -> io::Result<()> {
        let whole = self.deadline;
        self.deadline = whole.within(HANDSHAKE);
        let challenge = Challenge { nonce: Nonce::random().map_err(io::Error::other)? };
        let body = serde_json::to_vec(&challenge).map_err(io::Error::other)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            route::HANDSHAKE,
            self.address,
            body.len()
        );
        let answered = self.exchange(&[head.as_bytes(), &body].concat(), Body::Expected, MAX_PROOF);
        let (status, body) = answered.map_err(|cut| match cut {
            Cut::Unsent(error) | Cut::Sent(error) => error,
            Cut::TooLarge => io::Error::other("what answers is no daemon of this tool"),
        })?;
        self.deadline = whole;
        check_proof(status, &body, record, &challenge).map_err(io::Error::other)
    }

    /// Has it prove so that what is sent next on this connection is answered, even where it begins to leave meanwhile.
    pub(crate) fn lease(&mut self, record: &Advertisement) -> io::Result<()> {
        for _ in 0..PROOFS {
            let asked_at = Instant::now();
            self.prove(record)?;
            if asked_at.elapsed() < LEASE / 2 {
                break;
            }
        }
        Ok(())
    }

    /// Sends `request` and reads its answer, whole.
    pub(crate) fn exchange(&mut self, request: &[u8], body: Body, cap: usize) -> Result<(u16, Vec<u8>), Cut> {
        let cut = match self.send(request) {
            Ok(()) => None,
            Err(cut @ (Cut::Unsent(_) | Cut::TooLarge)) => return Err(cut),
            // A daemon may have answered before it has read a body that it refuses.
            Err(Cut::Sent(error)) => Some(error),
        };
        let Self { stream, deadline, read, .. } = self;
        receive(read, body, cap, cut, |read| more(stream, deadline, read))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Cut> {
        let mut sent = 0;
        while sent < bytes.len() {
            let cut = |error| if sent == 0 { Cut::Unsent(error) } else { Cut::Sent(error) };
            self.stream.set_write_timeout(Some(self.left().map_err(cut)?)).map_err(cut)?;
            match self.stream.write(&bytes[sent..]) {
                Ok(0) => return Err(cut(io::ErrorKind::WriteZero.into())),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cut(timed_out(error))),
            }
        }
        Ok(())
    }

    fn left(&self) -> io::Result<Duration> {
        left(&self.deadline)
    }
}

/// Reads an answer whole. `read` is what has come and belongs to no answer yet, and `more` adds to it; `cut` is why the request
/// could not be sent to its end.
pub(crate) fn receive(
    read: &mut Vec<u8>,
    body: Body,
    cap: usize,
    mut cut: Option<io::Error>,
    mut more: impl FnMut(&mut Vec<u8>) -> io::Result<()>,
) -> Result<(u16, Vec<u8>), Cut> {
    let head = loop {
        match answer::head(read, body).map_err(Cut::Sent)? {
            // An interim answer (RFC 9110, section 15.2) is followed by another.
            Some(head) if head.status < 200 => drop(read.drain(..head.length)),
            Some(head) => break head,
            None if read.len() > MAX_HEAD => return Err(Cut::Sent(answer::malformed())),
            None => more(read).map_err(|error| Cut::Sent(cut.take().unwrap_or(error)))?,
        }
    };
    read.drain(..head.length);
    let mut whole = Vec::new();
    let mut reader = answer::Reader::of(&head);
    loop {
        let is_whole = reader.take(read, &mut whole).map_err(Cut::Sent)?;
        if whole.len() > cap {
            return Err(Cut::TooLarge);
        }
        if is_whole {
            return Ok((head.status, whole));
        }
        match more(read) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && reader.ends_with_stream() => {
                return Ok((head.status, whole));
            }
            Err(error) => return Err(Cut::Sent(error)),
        }
    }
}

fn more(stream: &mut TcpStream, deadline: &Deadline, read: &mut Vec<u8>) -> io::Result<()> {
    let mut block = [0; 8192];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut block) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                read.extend_from_slice(&block[..count]);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(timed_out(error)),
        }
    }
}

fn left(deadline: &Deadline) -> io::Result<Duration> {
    deadline.remaining().ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// A time-out of a socket is `WouldBlock` on Unix (socket(7), `SO_RCVTIMEO`).
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

/// Whether this answer to the challenge is the recorded daemon's, and that one is not just leaving; if not, why.
pub(crate) fn check_proof(
    status: u16,
    body: &[u8],
    record: &Advertisement,
    challenge: &Challenge,
) -> Result<(), String> {
    if crate::fault::says_identity_lost(status, body) {
        return Err("it is no longer the daemon of its directory".to_owned());
    }
    if status != 200 {
        return Err(format!("the handshake was answered {status}"));
    }
    let proof: Proof =
        serde_json::from_slice(body).map_err(|_| "what answers is no daemon of this tool".to_owned())?;
    proof.check(record, challenge).map_err(|not| not.to_string())?;
    if proof.state == DaemonState::Draining { Err("it is leaving".to_owned()) } else { Ok(()) }
}
