//! One request to the daemon, blocking, for programs that have no async runtime.

use std::io;

use aileron_discovery::{Deadline, StateDir};

use crate::answer::Body;
use crate::exchange::{Cut, Line};
use crate::fault::{CallError, Fault, says_identity_lost};
use crate::retry::{Attempt, Repeat, Retry, Verdict};
use crate::target::{Resolved, Target};

/// No answer is longer by default, in bytes.
const CAP: usize = 16 * 1024 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a [u8],
    cap: usize,
}

/// What is answered. Every status is an answer, but the 503 of a daemon that is no longer the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl<'a> Call<'a> {
    /// A request with this method for this path (and query), without a body.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, body: &[], cap: CAP }
    }

    /// The same request with this body.
    #[must_use]
    pub fn with_body(self, body: &'a [u8]) -> Self {
        Self { body, ..self }
    }

    /// The same request, whose answer may have so many bytes (16 MiB, unless it is said).
    #[must_use]
    pub fn with_cap(self, cap: usize) -> Self {
        Self { cap, ..self }
    }

    /// What could break out of the request line is refused, not sent.
    fn check(&self) -> Result<(), &'static str> {
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        match self {
            _ if !is_word(self.method) || self.method == "CONNECT" => {
                Err("a method is a word, and not CONNECT")
            }
            _ if !is_word(self.path) || !self.path.starts_with('/') => {
                Err("a path begins with a slash and has no blanks in it")
            }
            _ => Ok(()),
        }
    }

    fn to_bytes(self, target: &Target, proved: bool) -> Vec<u8> {
        let Self { method, path, body, .. } = self;
        let token = target.record.as_ref().filter(|_| proved).map(|record| record.token.expose());
        let authorization =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{authorization}Content-Length: {}\r\n\r\n",
            target.address,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

/// Asks the daemon that `resolve` comes back with, and asks once more where that is safe: see [`CallError::maybe_done`].
///
/// `resolve` is called before the first attempt and before each further one. With `|| ensure_running(…)` a daemon is
/// started where there is none. The instance is proved on the connection that carries the request, so the token goes to
/// nobody else. Literal addresses only; no proxy, and no redirect, is followed.
///
/// # Errors
///
/// What kept the call from being answered, and whether it may have been acted upon.
///
/// # Examples
///
/// ```no_run
/// # use aileron_discovery::{Deadline, StateDir, Tool};
/// # use aileron_spawn::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tool = Tool::new("tally", "1.0.0");
/// let state_dir = StateDir::resolve(&tool, None)?;
/// let launch = Launch::daemon_of(&state_dir, ["daemon", "serve"]);
/// let options = EnsureOptions {
///     autostart: Autostart::from_env(&tool),
///     hold: HoldRule::Obey,
///     version: VersionRule::Compatible,
/// };
/// let deadline = Deadline::after(std::time::Duration::from_secs(30));
/// let have = || ensure_running(&state_dir, &launch, &options, deadline);
/// let answer = call(&state_dir, have, Call::new("POST", "/add").with_body(b"4"), deadline)?;
/// # Ok(()) }
/// ```
pub fn call<R, E>(
    state_dir: &StateDir,
    mut resolve: impl FnMut() -> Result<R, E>,
    what: Call<'_>,
    deadline: Deadline,
) -> Result<Answer, CallError<E>>
where
    R: Into<Resolved>,
    E: std::error::Error + 'static,
{
    what.check().map_err(|why| Fault::Request(why).undone())?;
    let mut retry = Retry::new(Repeat::of(what.method));
    loop {
        let doubt = retry.maybe_done();
        let failed = |fault| CallError { fault, maybe_done: doubt };
        let resolved = resolve().map_err(|error| failed(Fault::Resolve(error)))?;
        let target = Target::of(state_dir, resolved.into()).map_err(|no| failed(no.into()))?;
        let (attempt, outcome) = once(what, &target, deadline);
        let verdict = retry.after(attempt);
        let maybe_done = retry.maybe_done();
        let fault = match outcome {
            Ok(answer) if verdict == Verdict::Done => return Ok(answer),
            // 503, and nobody is left to ask.
            Ok(_) => keeps_leaving(&target, "it is no longer the daemon of its directory".to_owned()),
            Err(Ended::TooLarge) => {
                return Err(CallError { fault: Fault::TooLarge { cap: what.cap }, maybe_done: true });
            }
            Err(Ended::By(step, _)) if deadline.passed() => {
                // To wait once more is what the deadline forbids.
                let fault = Fault::Deadline { step, elapsed: deadline.elapsed() };
                return Err(CallError { fault, maybe_done });
            }
            Err(Ended::By(_, error)) if attempt == Attempt::NotSent => {
                keeps_leaving(&target, error.to_string())
            }
            Err(Ended::By(_, error)) => Fault::NoAnswer { address: target.address, why: error.to_string() },
        };
        if verdict != Verdict::Again {
            return Err(CallError { fault, maybe_done });
        }
    }
}

fn keeps_leaving<E: std::error::Error>(target: &Target, why: String) -> Fault<E> {
    Fault::KeepsLeaving { address: target.address, why }
}

/// Why one attempt has no answer.
enum Ended {
    By(&'static str, io::Error),
    TooLarge,
}

/// One attempt, over a connection of its own.
fn once(what: Call<'_>, target: &Target, deadline: Deadline) -> (Attempt, Result<Answer, Ended>) {
    let (mut line, proved) = match proved_line(target, deadline) {
        Ok(line) => line,
        Err(error) => return (Attempt::NotSent, Err(error)),
    };
    let body = if what.method == "HEAD" { Body::None } else { Body::Expected };
    match line.exchange(&what.to_bytes(target, proved), body, what.cap) {
        Ok((status, body)) if says_identity_lost(status, &body) => {
            (Attempt::IdentityLost, Ok(Answer { status, body }))
        }
        Ok((status, body)) => (Attempt::Answered, Ok(Answer { status, body })),
        Err(Cut::Unsent(error)) => (Attempt::NotSent, Err(Ended::By("sending the request", error))),
        Err(Cut::Sent(error)) => (Attempt::Broken, Err(Ended::By("waiting for the answer", error))),
        Err(Cut::TooLarge) => (Attempt::Answered, Err(Ended::TooLarge)),
    }
}

/// A connection, and whether the instance was proved on it. To an explicit address it goes unproved as well.
fn proved_line(target: &Target, deadline: Deadline) -> Result<(Line, bool), Ended> {
    let open = || Line::open(target.address, deadline).map_err(|error| Ended::By("connecting", error));
    let mut line = open()?;
    let Some(record) = &target.record else { return Ok((line, false)) };
    match line.lease(record) {
        Ok(()) => Ok((line, true)),
        Err(_) if target.is_explicit => Ok((open()?, false)),
        Err(error) => Err(Ended::By("proving the instance", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_out_of_the_request_line_is_not_sent() {
        for (method, path) in [("GET", "/"), ("POST", "/a?b=c%20d"), ("PROPFIND", "/x")] {
            assert_eq!(Call::new(method, path).check(), Ok(()), "{method} {path}");
        }
        for (method, path) in [
            ("GET", ""),
            ("GET", "x"),
            ("GET", "http://127.0.0.1:1/"),
            ("GET", "/a b"),
            ("GET", "/\r\nX: y"),
            ("GE T", "/"),
            ("", "/"),
            ("CONNECT", "/"),
        ] {
            assert!(Call::new(method, path).check().is_err(), "{method:?} {path:?}");
        }
    }

    #[test]
    fn the_token_is_sent_where_the_proof_succeeded() {
        let text = r#"{"url":"http://127.0.0.1:4711","pid":1,"version":"1","started_at":"","token":"secret","instance":"i"}"#;
        let aileron_discovery::Reading::Present(record) =
            aileron_discovery::Advertisement::parse(text.as_bytes())
        else {
            panic!("a record")
        };
        let target = Target { address: record.url.address(), record: Some(record), is_explicit: true };
        let sent = |proved| String::from_utf8(Call::new("GET", "/x").to_bytes(&target, proved)).unwrap();
        assert!(sent(true).contains("Authorization: Bearer secret\r\n"));
        assert!(!sent(false).contains("secret"));
    }
}
