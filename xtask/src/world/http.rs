//! One HTTP/1.1 request over a fresh connection, written by hand: the observer shares no code with what it judges.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What the daemon answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A request to a port of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) body: &'a str,
}

/// Ten times what an answer may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

impl Request<'static> {
    pub(crate) const HEALTH: Self = Request { method: "GET", path: "/healthz", token: None, body: "" };
    /// A handshake with a nonce that need not be random: we look at who answers, not at the proof.
    pub(crate) const HANDSHAKE: Self = Request {
        method: "POST",
        path: "/v1/handshake",
        token: None,
        body: r#"{"nonce":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"}"#,
    };
}

impl Request<'_> {
    /// Sends it and reads the answer to its end.
    ///
    /// # Errors
    /// When nobody listens, or the answer is cut or no HTTP.
    pub(crate) fn send(&self, port: u16) -> Result<Response> {
        let step = || format!("{} {} to port {port} failed", self.method, self.path);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, LIMIT).with_context(step)?;
        stream.set_read_timeout(Some(LIMIT)).with_context(step)?;
        stream.write_all(self.text(port, "close").as_bytes()).with_context(step)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(step)?;
        parse(&String::from_utf8_lossy(&answer)).with_context(step)
    }

    fn text(&self, port: u16, connection: &str) -> String {
        let Self { method, path, token, body } = self;
        let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{bearer}Content-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
            body.len()
        )
    }
}

impl Response {
    /// A member of the JSON document in the body.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let document: Value = serde_json::from_str(&self.body).ok()?;
        Some(document.get(name)?.as_str()?.to_owned())
    }
}

/// A connection that has had one answer and stays open.
#[derive(Debug)]
pub(crate) struct KeptAlive {
    _stream: TcpStream,
}

impl KeptAlive {
    /// Connects, asks whether the daemon is well, and keeps the connection.
    ///
    /// # Errors
    /// When there is no whole answer, or it is not a good one.
    pub(crate) fn open(port: u16) -> Result<Self> {
        let step = || format!("no kept connection to port {port}");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).with_context(step)?;
        stream.set_read_timeout(Some(LIMIT)).with_context(step)?;
        stream.write_all(Request::HEALTH.text(port, "keep-alive").as_bytes()).with_context(step)?;
        let mut answer = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let count = stream.read(&mut chunk).with_context(step)?;
            ensure!(count > 0, "the daemon closed a connection that should stay");
            answer.extend_from_slice(&chunk[..count]);
            // Cut until it is whole.
            if let Ok(response) = parse(&String::from_utf8_lossy(&answer)) {
                ensure!(response.status == 200, "the daemon answered {response:?}");
                return Ok(Self { _stream: stream });
            }
        }
    }
}

fn parse(answer: &str) -> Result<Response> {
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the header")?;
    let mut words = head.split_whitespace();
    ensure!(words.next().is_some_and(|word| word.starts_with("HTTP/1.")), "no HTTP/1 status line");
    let status = words.next().and_then(|word| word.parse().ok()).context("no status")?;
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    if let Some(length) = length {
        ensure!(body.len() == length.context("an odd content length")?, "the body was cut");
    }
    Ok(Response { status, body: body.to_owned() })
}

/// Whether anybody accepts connections on a port.
pub(crate) fn is_open(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, LIMIT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_a_cut_one_refused() {
        let whole =
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 24\r\n\r\n{\"code\":\"identity_lost\"}";
        let response = parse(whole).expect("well formed");
        assert_eq!((response.status, response.field("code").as_deref()), (503, Some("identity_lost")));
        assert!(parse(&whole[..whole.len() - 1]).is_err());
        assert!(parse("SSH-2.0\r\n\r\n").is_err());
    }
}
