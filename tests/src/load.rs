//! A constant load of requests, each with a tag and with the moment before it was sent.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Daemon;

/// More requests than any round needs, from one sender.
const MOST: usize = 20_000;

/// Requests that one write carries where they are pipelined.
const DEPTH: usize = 8;

/// How often a sender connects: each connection leaves a port behind in `TIME_WAIT`.
const PACE: Duration = Duration::from_millis(1);

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a sender uses its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// One request after the other on one connection.
    KeepAlive,
    /// [`DEPTH`] requests in one write.
    Pipelined,
    /// A connection for each request.
    Fresh,
}

/// A request that was sent, in whole or in part.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its body, which is not that of any other.
    pub tag: String,
    /// Before its first byte was sent.
    pub at: Instant,
    /// The status code of its answer, if one came.
    pub status: Option<u16>,
}

/// Senders at work, until [`end`](Self::end).
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Vec<Sent>>>,
}

impl Load {
    /// Posts tags to `path` from five senders.
    pub fn on(daemon: &Daemon, path: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let manners = [Manner::KeepAlive, Manner::KeepAlive, Manner::Pipelined, Manner::Fresh, Manner::Fresh];
        let senders = manners.into_iter().enumerate().map(|(number, manner)| {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n", daemon.address, daemon.authorization());
            let sender =
                Sender { address: daemon.address, head, manner, number, sent: Vec::new(), stream: None };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || sender.work(&stop))
        });
        Self { senders: senders.collect(), stop }
    }

    /// Ends it and says what was sent.
    pub fn end(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Release);
        self.senders.into_iter().flat_map(|sender| sender.join().expect("a sender does not panic")).collect()
    }
}

struct Sender {
    address: SocketAddr,
    head: String,
    manner: Manner,
    number: usize,
    sent: Vec<Sent>,
    stream: Option<TcpStream>,
}

impl Sender {
    fn work(mut self, stop: &AtomicBool) -> Vec<Sent> {
        while !stop.load(Ordering::Acquire) && self.sent.len() < MOST {
            // A daemon that ends resets, refuses, or says nothing more: all of it is part of the game.
            if self.exchange().is_err() {
                self.stream = None;
                std::thread::sleep(PACE);
            }
            if self.manner == Manner::Fresh {
                self.stream = None;
                std::thread::sleep(PACE);
            }
        }
        self.sent
    }

    fn exchange(&mut self) -> io::Result<()> {
        let mut stream = self.stream.take().map_or_else(|| connect(self.address), Ok)?;
        let count = if self.manner == Manner::Pipelined { DEPTH } else { 1 };
        let first = self.sent.len();
        let tags: Vec<String> =
            (first..first + count).map(|index| format!("{}-{index}", self.number)).collect();
        let mut bytes = Vec::new();
        for tag in &tags {
            let last = if self.manner == Manner::Fresh { "Connection: close\r\n" } else { "" };
            write!(bytes, "{}{last}Content-Length: {}\r\n\r\n{tag}", self.head, tag.len())?;
        }
        // The last thing before the first byte goes.
        let at = Instant::now();
        self.sent.extend(tags.into_iter().map(|tag| Sent { tag, at, status: None }));
        stream.write_all(&bytes)?;
        let mut answers = Answers::default();
        for sent in &mut self.sent[first..] {
            sent.status = Some(answers.next(&mut stream)?);
        }
        self.stream = Some(stream);
        Ok(())
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Answers with a length, one after the other.
#[derive(Default)]
struct Answers(Vec<u8>);

impl Answers {
    /// The status code of the next one.
    fn next(&mut self, stream: &mut TcpStream) -> io::Result<u16> {
        loop {
            if let Some((status, length)) = whole_answer(&self.0) {
                self.0.drain(..length);
                return Ok(status);
            }
            let mut block = [0; 4096];
            match stream.read(&mut block)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.0.extend_from_slice(&block[..count]),
            }
        }
    }
}

fn whole_answer(bytes: &[u8]) -> Option<(u16, usize)> {
    let head_length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_length]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body: usize = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })?;
    (bytes.len() >= head_length + body).then_some((status, head_length + body))
}
