//! The record: an advertisement of where the daemon is. A hint, never proof.

use std::fmt;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::process::ProcessRecord;
use crate::sys::{self, How};
use crate::{Epoch, InstanceId, StateDir, StateDirError, StateFile, Token};

/// No record of ours is longer than 1 KiB; what is longer than this, in bytes, is not read.
const MAX_RECORD: u64 = 64 * 1024;

/// What `daemon.json` says. The reference's fields keep their names and meaning; what a reader does not know it ignores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Advertisement {
    /// `http://127.0.0.1:PORT`.
    pub url: Endpoint,
    /// The daemon's pid in its own pid namespace.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started (RFC 3339, UTC).
    pub started_at: String,
    /// What its API asks for.
    pub token: Token,
    /// Version of this document.
    #[serde(default)]
    pub schema: u32,
    /// Version of the control protocol.
    #[serde(default)]
    pub protocol: u32,
    /// The instance that the handshake proves; absent in a reference daemon's record.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// The tool.
    #[serde(default)]
    pub name: String,
    /// The owner's epoch, which its successor outbids.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// What identifies the process.
    #[serde(default)]
    pub process: Option<ProcessRecord>,
    /// The host name.
    #[serde(default)]
    pub host: String,
}

/// What was found at the path of the record. Whatever it is, it is no error: the lock decides.
#[derive(Debug)]
pub enum Reading {
    /// Nothing.
    Absent,
    /// Something that is no record, and why.
    Damaged {
        /// For people.
        why: String,
    },
    /// A record; not yet believed.
    Present(Box<Advertisement>),
}

impl Advertisement {
    /// Reads the record: at most 64 KiB, a regular file only, no symlink followed, no blocking open.
    ///
    /// # Errors
    ///
    /// Only when the directory itself is refused ([`StateDirError::Missing`] included).
    pub fn read(state_dir: &StateDir) -> Result<Reading, StateDirError> {
        let dir = state_dir.open()?;
        Ok(match read_capped(&dir, &state_dir.tool().file_name(StateFile::Record), MAX_RECORD) {
            Ok(None) => Reading::Absent,
            Ok(Some(bytes)) => Self::parse(&bytes),
            Err(error) => Reading::Damaged { why: error.to_string() },
        })
    }

    /// Parses what a record contained.
    pub fn parse(bytes: &[u8]) -> Reading {
        match serde_json::from_slice(bytes) {
            Ok(record) => Reading::Present(Box::new(record)),
            Err(error) => Reading::Damaged { why: error.to_string() },
        }
    }

    /// The bytes that the owner writes: one JSON document and a newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record of strings and numbers is JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// The epoch in a record of whatever version, if there is one.
pub(crate) fn epoch_in(dir: &sys::DirHandle, name: &str) -> Option<Epoch> {
    match Advertisement::parse(&read_capped(dir, name, MAX_RECORD).ok()??) {
        Reading::Present(record) => record.epoch,
        Reading::Absent | Reading::Damaged { .. } => None,
    }
}

/// Reads a small file of the state directory. `None`: there is none.
pub(crate) fn read_capped(dir: &sys::DirHandle, name: &str, cap: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match dir.open_file(name, How::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(dir.odd_kind(name).map_or(error, io::Error::other)),
    };
    if !sys::held_facts(&file)?.regular {
        return Err(io::Error::other(dir.odd_kind(name).unwrap_or("no regular file")));
    }
    let mut bytes = Vec::with_capacity(1024);
    file.take(cap + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        return Err(io::Error::other(format!("longer than {cap} bytes")));
    }
    Ok(Some(bytes))
}

/// Where a daemon listens: `http://` and a literal loopback address with its port. Nothing is ever looked up by name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Endpoint(SocketAddr);

/// Why a text is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not `http://ADDRESS:PORT` with a literal address and a port other than 0.
    #[error("`{0}` is not of the form http://127.0.0.1:PORT")]
    Form(String),
    /// An address that is not loopback.
    #[error("`{0}` is not a loopback address")]
    NotLoopback(IpAddr),
}

impl Endpoint {
    /// The endpoint at a bound address.
    ///
    /// # Errors
    ///
    /// When it is not loopback.
    pub fn new(address: SocketAddr) -> Result<Self, EndpointError> {
        if address.ip().is_loopback() {
            Ok(Self(address))
        } else {
            Err(EndpointError::NotLoopback(address.ip()))
        }
    }

    /// Parses `http://127.0.0.1:PORT`, with or without a final slash.
    ///
    /// # Errors
    ///
    /// When it has another form or is not loopback.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let form = || EndpointError::Form(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(form)?;
        let address: SocketAddr = rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| form())?;
        if address.port() == 0 {
            return Err(form());
        }
        Self::new(address)
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORD: &str = r#"{"url":"http://127.0.0.1:4711","pid":42,"version":"1.2.3","started_at":"2026-01-02T03:04:05Z",
        "token":"t0","schema":1,"protocol":1,"instance":"ab","name":"aileron","host":"h","future":{"a":[1]}}"#;

    #[test]
    fn a_reference_record_is_read_and_the_unknown_is_ignored() {
        let reference =
            r#"{"url":"http://127.0.0.1:1","pid":1,"version":"0.9","started_at":"x","token":"t"}"#;
        assert!(
            matches!(Advertisement::parse(reference.as_bytes()), Reading::Present(ad) if ad.instance.is_none())
        );
        assert!(matches!(Advertisement::parse(RECORD.as_bytes()), Reading::Present(_)));
    }

    #[test]
    fn cut_at_every_byte_it_is_damaged_and_nothing_else() {
        for end in 0..RECORD.len() {
            assert!(
                matches!(Advertisement::parse(&RECORD.as_bytes()[..end]), Reading::Damaged { .. }),
                "{end}"
            );
        }
    }

    #[test]
    fn an_endpoint_is_a_literal_loopback_address() {
        assert_eq!(Endpoint::parse("http://127.0.0.1:80/").unwrap().to_string(), "http://127.0.0.1:80");
        assert_eq!(Endpoint::parse("http://[::1]:80").unwrap().to_string(), "http://[::1]:80");
        for bad in [
            "http://localhost:80",
            "https://127.0.0.1:80",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "127.0.0.1:1",
        ] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Form(_))), "{bad}");
        }
        assert!(matches!(Endpoint::parse("http://10.0.0.1:80"), Err(EndpointError::NotLoopback(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            Advertisement::parse(&bytes);
        }
    }
}
