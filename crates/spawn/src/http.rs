//! One blocking HTTP/1.1 request over a fresh connection: all that finding a daemon takes.
//!
//! Literal addresses only; no name look-up and no proxy variable can come in between. Whatever answers may be anybody, so
//! what is read is capped and every wait has a deadline.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aileron_discovery::{Deadline, Token};

use crate::answer::body_length;

/// No answer of a control route is longer, head included, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// A request.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Only ever for an address whose instance is proved.
    pub(crate) token: Option<&'a Token>,
    pub(crate) body: &'a [u8],
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Nobody listens there.
    #[error("nobody listens at {0}")]
    Refused(SocketAddr),
    /// The connection failed otherwise, or ended early.
    #[error("the connection to {0} failed")]
    Broken(SocketAddr, #[source] io::Error),
    /// No whole answer in time.
    #[error("no answer from {0}")]
    Silent(SocketAddr),
    /// Whoever answered does not speak HTTP.
    #[error("what answers at {0} does not speak HTTP")]
    Malformed(SocketAddr),
    /// The caller lost interest.
    #[error("gave up on {0}")]
    GivenUp(SocketAddr),
}

/// Makes the request. When nothing has come after `patience`, `go_on` is asked, once, whether to wait for the deadline.
pub(crate) fn request(
    address: SocketAddr,
    request: &Request<'_>,
    patience: Duration,
    deadline: &Deadline,
    go_on: impl FnOnce() -> bool,
) -> Result<Answer, HttpError> {
    let mut go_on = Some(go_on);
    let left = || deadline.remaining().ok_or(HttpError::Silent(address));
    // A full backlog is silence too: nobody is accepting.
    let mut stream = match connect(address, left()?.min(patience)) {
        Err(HttpError::Silent(_)) => {
            if !go_on.take().is_some_and(|go_on| go_on()) {
                return Err(HttpError::GivenUp(address));
            }
            connect(address, left()?)?
        }
        other => other?,
    };
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HttpError::Silent(address),
        _ => HttpError::Broken(address, error),
    };
    stream.set_write_timeout(Some(left()?)).map_err(broken)?;
    stream.write_all(&encode(address, request)).map_err(broken)?;
    receive(&mut stream, address, patience, deadline, go_on)
}

fn connect(address: SocketAddr, patience: Duration) -> Result<TcpStream, HttpError> {
    TcpStream::connect_timeout(&address, patience).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => HttpError::Refused(address),
        io::ErrorKind::TimedOut => HttpError::Silent(address),
        _ => HttpError::Broken(address, error),
    })
}

fn encode(address: SocketAddr, request: &Request<'_>) -> Vec<u8> {
    let Request { method, path, token, body } = request;
    let authorization =
        token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose())).unwrap_or_default();
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn receive(
    stream: &mut TcpStream,
    address: SocketAddr,
    patience: Duration,
    deadline: &Deadline,
    mut go_on: Option<impl FnOnce() -> bool>,
) -> Result<Answer, HttpError> {
    let impatient = deadline.within(patience);
    let mut bytes = Vec::with_capacity(1024);
    // An answer of a control route is a third of it, and a page less of the stack is a page less to be had from the kernel.
    let mut block = [0; 1024];
    loop {
        // Bytes alone are no reason to go on: whoever sends one now and then would keep us for the whole of the deadline.
        if impatient.passed()
            && let Some(go_on) = go_on.take()
            && !go_on()
        {
            return Err(HttpError::GivenUp(address));
        }
        let left = deadline.remaining().ok_or(HttpError::Silent(address))?;
        let wait = if go_on.is_some() { impatient.remaining().unwrap_or(left) } else { left };
        stream.set_read_timeout(Some(wait)).map_err(|error| HttpError::Broken(address, error))?;
        match stream.read(&mut block) {
            Ok(0) => return parse(&bytes, true).ok_or(HttpError::Malformed(address)),
            Ok(count) => {
                bytes.extend_from_slice(&block[..count]);
                if let Some(answer) = parse(&bytes, false) {
                    return Ok(answer);
                }
                if bytes.len() > MAX_ANSWER || !could_be_http(&bytes) {
                    return Err(HttpError::Malformed(address));
                }
            }
            Err(error) if is_no_news(error.kind()) => {}
            Err(error) => return Err(HttpError::Broken(address, error)),
        }
    }
}

fn is_no_news(error: io::ErrorKind) -> bool {
    matches!(error, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn could_be_http(bytes: &[u8]) -> bool {
    bytes.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected)
}

/// The answer in `bytes`, once it is whole; at the end of the stream, a body without a length is.
pub(crate) fn parse(bytes: &[u8], at_end: bool) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else { return None };
    let status = response.code?;
    let mut headers = response.headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| body_length(header.value));
    let body = &bytes[head..];
    match length {
        Some(length) if body.len() >= length => Some(Answer { status, body: body[..length].to_vec() }),
        Some(_) => None,
        None => at_end.then(|| Answer { status, body: body.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_it_is_whole() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end], false), None, "{end}");
        }
        let whole = Answer { status: 200, body: b"ok".to_vec() };
        assert_eq!(parse(bytes, false), Some(whole));
        assert_eq!(
            parse(b"HTTP/1.1 202 Accepted\r\n\r\n", true),
            Some(Answer { status: 202, body: Vec::new() })
        );
        assert_eq!(parse(b"SSH-2.0-OpenSSH\r\n", true), None);
    }

    #[test]
    fn the_token_is_in_the_request_only_when_it_is_given() {
        let address = ([127, 0, 0, 1], 4711).into();
        let request = Request { method: "POST", path: "/x", token: None, body: b"{}" };
        let text = String::from_utf8(encode(address, &request)).unwrap();
        assert!(!text.contains("Authorization"));
        assert!(text.contains("Host: 127.0.0.1:4711\r\n") && text.ends_with("Content-Length: 2\r\n\r\n{}"));
    }
}
