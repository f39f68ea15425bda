//! The parsers of what others wrote that nobody outside needs, for the project's own fuzzing and for nothing else: no part of
//! the interface, and no version keeps it.

use std::io;
use std::net::SocketAddr;

use crate::VersionRule;
use crate::answer::Body;
use crate::exchange::{Cut, receive};
use crate::version::Fit;

/// What whoever is looked at has answered: status and body. `at_end`: nothing more will come.
pub fn look(bytes: &[u8], at_end: bool) -> Option<(u16, Vec<u8>)> {
    crate::http::parse(bytes, at_end).map(|answer| (answer.status, answer.body))
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It broke off, or is none.
    Io(io::ErrorKind),
    /// It is longer than the cap.
    TooLarge,
}

/// What is read as the answer to a request, status and body, where it comes in pieces and then the stream ends. `to_head`: to a
/// `HEAD`.
///
/// # Errors
///
/// As [`NoAnswer`] says.
pub fn answer(pieces: &[&[u8]], to_head: bool, cap: usize) -> Result<(u16, Vec<u8>), NoAnswer> {
    let mut pieces = pieces.iter();
    let body = if to_head { Body::None } else { Body::Expected };
    let more = |read: &mut Vec<u8>| {
        read.extend_from_slice(pieces.next().ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    };
    receive(&mut Vec::new(), body, cap, None, more).map_err(|cut| match cut {
        Cut::Unsent(error) | Cut::Sent(error) => NoAnswer::Io(error.kind()),
        Cut::TooLarge => NoAnswer::TooLarge,
    })
}

/// The address in an explicit URL.
pub fn literal(url: &str) -> Option<SocketAddr> {
    crate::target::literal(url)
}

/// Whether a client of version `ours` would replace a daemon of version `theirs`.
pub fn replaces(rule: VersionRule, ours: &str, theirs: &str) -> bool {
    rule.judge(ours, theirs) == Fit::Older
}
