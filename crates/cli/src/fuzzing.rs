//! The parsers of what others wrote that nobody outside needs, for the project's own fuzzing and for nothing else: no part of
//! the interface, and no version keeps it.

use std::io::Cursor;
use std::time::Duration;

use crate::commands::logs::from_the_end;
use crate::commands::logs::view::View;
use crate::{duration, settings};

/// A duration as it is typed, if it is one.
pub fn duration(text: &str) -> Option<Duration> {
    duration::parse(text).ok()
}

/// A duration as it is shown.
pub fn show(duration: Duration) -> String {
    duration::show(duration)
}

/// Whether a variable is on or off, if it says so.
pub fn switch(text: &str) -> Option<bool> {
    settings::switch(text).ok()
}

/// Whether this can be an explicit address.
pub fn is_address(text: &str) -> bool {
    settings::address(text).is_ok()
}

/// The last lines of a log, read from its end in blocks that begin with one of `block` bytes.
pub fn last_lines(log: &[u8], count: usize, block: u64) -> Vec<String> {
    from_the_end(&mut Cursor::new(log), count, block).expect("memory is read without an error").into()
}

/// What people are shown of these lines: nothing of those that are older than `since`, a time as in the log.
pub fn shown(lines: &[String], since: Option<&str>) -> Vec<Option<String>> {
    let since = since.and_then(|since| since.parse().ok());
    let mut view = View::of(false, since);
    lines.iter().map(|line| view.show(line)).collect()
}
