//! The load: one thread that keeps many connections busy, each with one request at a time.
//!
//! It shares the machine with the server it loads, so a rate says as much of it as of the server: rates are compared
//! between servers under the same load, and never read alone.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// No answer takes so long.
const STUCK: Duration = Duration::from_secs(20);

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) enum Until {
    /// After that time.
    Time(Duration),
    /// After so many answers on each connection.
    Answers(u32),
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(in crate::bench) struct Served {
    /// Microseconds, one for each answer.
    pub(in crate::bench) latencies: Vec<f64>,
    pub(in crate::bench) took: Duration,
}

/// Connections to one server, each of which has had an answer already.
pub(in crate::bench) struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    question: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    asked: Instant,
    answers: u32,
    /// No answer is awaited.
    is_done: bool,
}

impl Load {
    pub(in crate::bench) fn connect(port: u16, question: &[u8], connections: usize) -> Result<Self> {
        let mut load = Self::empty(question)?;
        for _ in 0..connections {
            load.add(port)?;
        }
        load.run(Until::Answers(1)).context("the first requests")?;
        Ok(load)
    }

    /// So many clients at once that ask one thing each: connect, request, answer, close.
    pub(in crate::bench) fn burst(port: u16, question: &[u8], clients: usize) -> Result<Served> {
        let (mut load, begun) = (Self::empty(question)?, Instant::now());
        for _ in 0..clients {
            load.add(port)?.ask(question)?;
        }
        // Each is closed with its answer: a server lets no more in than it has places for.
        let mut served = load.hear(clients, |connection, _| {
            connection.stream.shutdown(Shutdown::Both).context("cannot close a connection")?;
            Ok(false)
        })?;
        served.took = begun.elapsed();
        Ok(served)
    }

    fn empty(question: &[u8]) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("cannot make an epoll instance")?;
        Ok(Self { epoll, connections: Vec::new(), question: question.to_vec() })
    }

    fn add(&mut self, port: u16) -> Result<&mut Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot connect to port {port}"))?;
        let set = stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true));
        set.context("cannot set up a socket")?;
        let data = EventData::new_u64(u64::try_from(self.connections.len()).context("too many connections")?);
        epoll::add(&self.epoll, &stream, data, EventFlags::IN).context("cannot wait for a socket")?;
        let connection =
            Connection { stream, received: Vec::new(), asked: Instant::now(), answers: 0, is_done: true };
        self.connections.push(connection);
        self.connections.last_mut().context("one was just added")
    }

    /// Loads the server; every request that was sent has been answered when this returns.
    pub(in crate::bench) fn run(&mut self, until: Until) -> Result<Served> {
        let begun = Instant::now();
        for connection in &mut self.connections {
            connection.answers = 0;
            connection.ask(&self.question)?;
        }
        let question = self.question.clone();
        let mut served = self.hear(self.connections.len(), |connection, answers| {
            let goes_on = match until {
                Until::Time(time) => begun.elapsed() < time,
                Until::Answers(count) => answers < count,
            };
            if goes_on {
                connection.ask(&question)?;
            }
            Ok(goes_on)
        })?;
        served.took = begun.elapsed();
        Ok(served)
    }

    /// Hears answers until none is awaited on any of so many connections. `then` says whether another was asked for.
    fn hear(
        &mut self,
        mut open: usize,
        mut then: impl FnMut(&mut Connection, u32) -> Result<bool>,
    ) -> Result<Served> {
        let mut served = Served::default();
        let mut events: Vec<Event> = Vec::with_capacity(1024);
        let patience = Timespec { tv_sec: i64::try_from(STUCK.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
        while open > 0 {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience)) {
                Err(Errno::INTR) => continue,
                waited => waited.context("cannot wait for an answer")?,
            };
            ensure!(!events.is_empty(), "{open} requests have had no answer for {} s", STUCK.as_secs());
            for event in &events {
                let at = usize::try_from(event.data.u64()).context("a number of connections")?;
                let connection = self.connections.get_mut(at).context("an event of a connection")?;
                if connection.is_done || !connection.has_answer()? {
                    continue;
                }
                served.latencies.push(connection.asked.elapsed().as_secs_f64() * 1e6);
                connection.answers += 1;
                let answers = connection.answers;
                if !then(connection, answers)? {
                    connection.is_done = true;
                    open -= 1;
                }
            }
        }
        Ok(served)
    }
}

impl Served {
    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "a count of some millions")]
    pub(in crate::bench) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }
}

impl Connection {
    fn ask(&mut self, question: &[u8]) -> Result<()> {
        self.received.clear();
        self.is_done = false;
        self.asked = Instant::now();
        // Shorter than any socket's buffer, which is empty: the last request has been answered.
        let sent = self.stream.write(question).context("cannot send a request")?;
        ensure!(sent == question.len(), "only {sent} of {} bytes were taken", question.len());
        Ok(())
    }

    /// Whether the whole answer is there, which has to be a good one.
    fn has_answer(&mut self) -> Result<bool> {
        let mut chunk = [0_u8; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => bail!("the server closed a connection: {:?}", String::from_utf8_lossy(&self.received)),
            Ok(count) => self.received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot read an answer"),
        }
        is_whole(&self.received)
    }
}

/// Whether these bytes are a whole answer with status 200.
fn is_whole(bytes: &[u8]) -> Result<bool> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(&bytes[..head]).context("a head that is no text")?;
    ensure!(text.starts_with("HTTP/1.1 200 "), "answered by {text:?}");
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.with_context(|| format!("no length in {text:?}"))?;
    ensure!(bytes.len() <= head + 4 + length, "more bytes than the answer to one request");
    Ok(bytes.len() == head + 4 + length)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte_and_good_with_200() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for end in 0..whole.len() {
            assert!(!is_whole(&whole[..end]).expect("so far well formed"));
        }
        assert!(is_whole(whole).expect("well formed"));
        assert!(is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nok").is_err(), "a byte too much");
        assert!(is_whole(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn every_connection_is_asked_as_often_as_was_said() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let other_end = std::thread::spawn(move || {
            let mut asked = 0;
            let peers: Vec<_> = (0..3).map(|_| listener.accept().expect("a client").0).collect();
            let answers: Vec<_> = peers
                .into_iter()
                .map(|mut peer| {
                    std::thread::spawn(move || {
                        let (mut asked, mut byte) = (0, [0]);
                        while peer.read(&mut byte).expect("readable") == 1 {
                            asked += 1;
                            peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("sent");
                        }
                        asked
                    })
                })
                .collect();
            for answer in answers {
                asked += answer.join().expect("no panic");
            }
            asked
        });
        let mut load = Load::connect(port, b"?", 3).expect("connected");
        let served = load.run(Until::Answers(5)).expect("served");
        assert_eq!(served.latencies.len(), 15);
        drop(load);
        assert_eq!(other_end.join().expect("no panic"), 18, "and once each before");
    }
}
