//! The parsers of what others wrote that nobody outside needs, for the project's own fuzzing and for nothing else: no part of
//! the interface, and no version keeps it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::request::Parts;

use crate::guard::{Area, Credentials, OwnAddress, check_origin};

/// Whether a request is addressed to the daemon at `address`, and by no foreign page.
pub fn is_addressed(address: SocketAddr, head: &Parts) -> bool {
    check_origin(&OwnAddress::new(address), &head.uri, &Credentials::of(&head.headers)).is_ok()
}

/// The token that a request shows.
pub fn bearer(head: &Parts) -> Option<&[u8]> {
    Credentials::of(&head.headers).bearer()
}

/// Which of the four areas of rules a path is in: `Health`, `Handshake`, `Control`, `App`.
pub fn area(path: &str) -> String {
    format!("{:?}", Area::of(path))
}

/// The watchdog's interval, given `WATCHDOG_USEC`, `WATCHDOG_PID` and the own pid.
pub fn watchdog(interval: Option<&str>, for_pid: Option<&str>, pid: u32) -> Option<Duration> {
    crate::notify::watchdog(interval, for_pid, pid)
}

/// Whether a level is understood, and what of.
pub fn levels(text: &str) -> Option<String> {
    crate::log::parse_levels(text).map(|levels| levels.to_string())
}
