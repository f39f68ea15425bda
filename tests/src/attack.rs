//! A page of attacks: what was tried, what had to come of it, and what came of it.
//!
//! A table is data. Whoever runs it notes each attempt, also where one fails, and the page is printed whole: with
//! `--nocapture` it can be read, and a failure shows every other row as well.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::{Bench, Daemon, PROMPT, until};

/// Longer than the longest limit that these attempts run into, which is 5 s for the body of a control request.
const PATIENCE: Duration = Duration::from_secs(20);

/// One attempt.
#[derive(Debug)]
struct Row {
    attempt: String,
    origin: String,
    expected: String,
    got: String,
}

/// The attempts of one group.
#[derive(Debug)]
pub struct Page {
    group: &'static str,
    rows: Vec<Row>,
}

impl Page {
    /// An empty one.
    pub fn new(group: &'static str) -> Self {
        Self { group, rows: Vec::new() }
    }

    /// Notes an attempt, where it is from, what had to come of it and what came of it.
    pub fn note(
        &mut self,
        attempt: impl Into<String>,
        origin: impl Into<String>,
        expected: &str,
        got: impl Into<String>,
    ) {
        let (attempt, origin) = (attempt.into(), origin.into());
        self.rows.push(Row { attempt, origin, expected: expected.to_owned(), got: got.into() });
    }

    /// Takes the rows of another page of this group.
    pub fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// Prints it, and fails if an attempt came to something else or if there are fewer than `least`.
    pub fn finish(self, least: usize) {
        let mut text = format!("{}: {} attempts\n", self.group, self.rows.len());
        for Row { attempt, origin, expected, got } in &self.rows {
            let mark = if expected == got { "  " } else { "!!" };
            let row = format!("{mark} {attempt} [{origin}] | expected {expected} | got {got}\n");
            text.push_str(&row);
        }
        print_page(&text);
        let wrong: Vec<&Row> = self.rows.iter().filter(|row| row.expected != row.got).collect();
        assert!(
            wrong.is_empty(),
            "{} of {} attempts in {}: {wrong:#?}",
            wrong.len(),
            self.rows.len(),
            self.group
        );
        assert!(self.rows.len() >= least, "{} has {} attempts of {least}", self.group, self.rows.len());
    }
}

#[expect(clippy::print_stdout, reason = "the harness shows it with `--nocapture`, and where a test fails")]
fn print_page(text: &str) {
    println!("{text}");
}

/// A daemon with routes of an embedder's, which notes whatever it is made to do.
#[derive(Debug)]
pub struct Target {
    /// The daemon.
    pub daemon: Daemon,
    /// What `POST /count` writes to.
    counted: PathBuf,
    state: Value,
}

impl Target {
    /// Starts it.
    pub fn new(bench: &Bench) -> Self {
        let counted = bench.beside("counted");
        let name = counted.to_str().expect("our own names are UTF-8");
        let daemon = bench.service(&["--count", name]);
        let state = daemon.view();
        Self { daemon, counted, state }
    }

    /// `{port}` and `{token}` in the bytes of an attempt become this daemon's.
    pub fn fill(&self, template: &[u8]) -> Vec<u8> {
        let with_port = replace(template, b"{port}", self.daemon.address.port().to_string().as_bytes());
        replace(&with_port, b"{token}", self.daemon.token.as_bytes())
    }

    /// Sends these bytes on one connection and says what came of it: the statuses of the answers (`403`, `401 401`), `closed`
    /// without any, and whatever harm was done. `wanted` answers are waited for before our half of the connection is closed; for none it is closed at once.
    pub fn attempt(&self, template: &[u8], wanted: usize) -> String {
        let heard = Heard::of(self.daemon.address, &self.fill(template), wanted);
        self.judge(&heard)
    }

    /// What an attempt came to, in words.
    pub fn judge(&self, heard: &Heard) -> String {
        let harm = heard.harm(&self.daemon.token).or_else(|| self.harm());
        harm.map_or_else(|| heard.summary(), |harm| format!("{}; HARM: {harm}", heard.summary()))
    }

    /// What was done to the daemon, if anything: it has to be the same instance, serving, with nothing in flight, and its
    /// embedder has to have been asked nothing.
    pub fn harm(&self) -> Option<String> {
        let idle = || match self.daemon.ask("GET", "/v1/daemon") {
            Ok(answer) if answer.json()["in_flight"] == 0 => Some(Ok(answer.json())),
            Ok(answer) if answer.status == 200 => None,
            other => Some(Err(format!("it gives no answer: {other:?}"))),
        };
        let now = match until("nothing is in flight", PROMPT, idle) {
            Ok(now) => now,
            Err(gone) => return Some(gone),
        };
        for field in ["pid", "instance", "epoch", "state"] {
            if now[field] != self.state[field] {
                return Some(format!("{field} was {}, is {}", self.state[field], now[field]));
            }
        }
        if self.counted.exists() {
            return Some("the embedder acted".to_owned());
        }
        (!self.daemon.log.events("draining").is_empty()).then(|| "it was stopped".to_owned())
    }

    /// The control without which all of this would pass for nothing: an honest client with the token has the embedder act and
    /// the daemon stopped, by requests of the very form that was refused to others.
    pub fn obeys_its_owner(&self) {
        let counted = self.daemon.ask("POST", "/count").expect("an honest request is answered");
        assert_eq!((counted.status, self.counted.exists()), (200, true), "{counted:?}");
        assert!(self.harm().is_some(), "harm is seen where there is some");
        let stopped = self.daemon.ask("POST", "/v1/daemon/stop").expect("an honest stop is answered");
        assert_eq!(stopped.status, 202, "{stopped:?}");
        self.daemon.process.wait(PROMPT);
    }
}

fn replace(text: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(name.len()).position(|window| window == name) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(value);
        rest = &rest[at + name.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}

/// What came back on one connection, to its end.
#[derive(Debug)]
pub struct Heard {
    answers: Vec<(u16, String, String)>,
    /// Nothing came and nothing was closed.
    silent: bool,
}

impl Heard {
    /// Sends `bytes` and reads to the end of the connection.
    pub fn of(address: SocketAddr, bytes: &[u8], wanted: usize) -> Self {
        // Whose daemon was made to end goes on to the end of its table, so that it is seen which attempt it was.
        let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else {
            return Self { answers: Vec::new(), silent: false };
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out other than zero");
        // Whoever is refused in the middle of what it sends gets a reset for the rest; what it was told is read all the same.
        let _refused_early = stream.write_all(bytes);
        Self::on(stream, bytes.starts_with(b"HEAD "), wanted)
    }

    /// Reads what comes on a connection.
    pub fn on(mut stream: TcpStream, is_head: bool, wanted: usize) -> Self {
        let mut bytes = Vec::new();
        let mut block = [0; 4096];
        let mut half_closed = false;
        loop {
            if !half_closed && parse(&bytes, is_head).len() >= wanted {
                half_closed = true;
                let _closed_already = stream.shutdown(Shutdown::Write);
            }
            match stream.read(&mut block) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&block[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(_) => return Self { answers: parse(&bytes, is_head), silent: true },
            }
        }
        Self { answers: parse(&bytes, is_head), silent: false }
    }

    fn summary(&self) -> String {
        let statuses: Vec<String> = self.answers.iter().map(|(status, ..)| status.to_string()).collect();
        match (statuses.is_empty(), self.silent) {
            (_, true) => format!("{} and then silence", statuses.join(" ")),
            (true, false) => "closed".to_owned(),
            (false, false) => statuses.join(" "),
        }
    }

    /// What no answer may have: a grant to other origins, a cookie, the token; and what a refusal must have.
    fn harm(&self, token: &str) -> Option<String> {
        self.answers.iter().find_map(|(status, head, body)| {
            let head = head.to_ascii_lowercase();
            let is_refusal = matches!(status, 401 | 403 | 503);
            if head.contains("access-control-") || head.contains("set-cookie") {
                return Some(format!("a grant: {head}"));
            }
            if head.contains(token) || body.contains(token) {
                return Some("the token was told".to_owned());
            }
            let proper = head.contains("application/problem+json") && head.contains("nosniff");
            (is_refusal && !proper).then(|| format!("no problem document: {head}"))
        })
    }
}

/// The whole answers in what was heard.
fn parse(bytes: &[u8], is_head: bool) -> Vec<(u16, String, String)> {
    let mut answers = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let Some(status) = head.split(' ').nth(1).and_then(|status| status.parse().ok()) else { break };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let length = if is_head { 0 } else { length.unwrap_or(0) };
        let Some(body) = rest.get(end + 4..end + 4 + length) else { break };
        answers.push((status, head, String::from_utf8_lossy(body).into_owned()));
        rest = &rest[end + 4 + length..];
    }
    answers
}
