//! HTTP by hand: what goes over the wire is what a test says, to the byte.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Connects and sends `bytes`, and nothing more.
///
/// # Errors
///
/// As the system says, `ConnectionRefused` above all.
pub fn send(address: SocketAddr, bytes: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    Ok(stream)
}

/// Sends `bytes` and reads the answer to the end of the connection.
///
/// # Errors
///
/// As the system says; `UnexpectedEof` for an answer that is none.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    read_answer(&mut send(address, bytes)?)
}

/// Reads the answer on an open connection to its end.
///
/// # Errors
///
/// As [`raw`].
pub fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&block[..count]),
            // A reset after the whole answer takes nothing from it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            // A read with a time-out is not taken up again by the kernel (`signal(7)`).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// A whole request that closes its connection; `headers` beside `Host` and the length.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    [text, length, body.to_owned()].concat().into_bytes()
}
