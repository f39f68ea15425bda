//! The raw limit of a warm client: `bare_client` does nothing, `bare_client RECORD` does what no client can do without. It
//! opens and reads the record, connects to the port in it, makes one round trip, and closes.
//!
//! It proves nothing, checks nothing and parses no more than the port. An example of this crate, so that profile, linkage
//! and standard library are the product's; none of the product is in it. `cargo xtask bench client` runs this.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A benchmark must end.
const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

fn main() -> Result<(), Box<dyn Error>> {
    let Some(record) = std::env::args_os().nth(1) else { return Ok(()) };
    let text = std::fs::read_to_string(record)?;
    let port = text.split("http://127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next());
    let port: u16 = port.ok_or("the record names no port")?.parse()?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(LIMIT)?;
    let question = format!("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer)?;
    if answer[..count].starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err("no healthy answer".into()) }
}
