//! The launch message: one line of JSON on the pipe that a launched daemon inherits.

use std::fs::File;
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::{Advertisement, sys};

/// How the launched process ended its start. It says exactly one of these, or dies without a word.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LaunchMessage {
    /// It serves; this is its record.
    Ready {
        /// As published.
        record: Box<Advertisement>,
    },
    /// Another process holds the lock: look again.
    Held,
    /// The directory or the lock went away before it was ready: begin again.
    Lost,
    /// It cannot start.
    Failed(Failure),
}

/// Why a daemon could not start, in the shape in which the client reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it was doing.
    pub step: String,
    /// What happened, cause included.
    pub message: String,
    /// On which path, where there is one; what is not UTF-8 in it is replaced.
    pub path: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// An error with its causes, in one line: what a [`Failure`]'s message is.
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// No message is longer, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

impl LaunchMessage {
    /// One line.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a launch message is JSON");
        line.push(b'\n');
        line
    }

    /// The message in `bytes`, once its line is complete. `None`: not yet, or not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        serde_json::from_slice(&bytes[..end]).ok()
    }
}

/// The daemon's end of the pipe.
#[derive(Debug)]
pub struct LaunchPipe(Option<File>);

impl LaunchPipe {
    /// Adopts the descriptor whose number the launcher passed, close-on-exec from here on. Called once, first thing.
    ///
    /// # Errors
    ///
    /// When that descriptor is not an open pipe.
    ///
    /// # Platform notes
    ///
    /// Windows has no inheritance by number; there this always fails, and the daemon runs without a pipe.
    pub fn adopt(descriptor: i32) -> io::Result<Self> {
        sys::adopt_descriptor(descriptor).map(|pipe| Self(Some(pipe)))
    }

    /// Sends the one message and closes the pipe. A launcher that is gone does not matter to the daemon.
    pub fn send(&mut self, message: &LaunchMessage) {
        if let Some(mut pipe) = self.0.take()
            && pipe.write_all(&message.encode()).is_err()
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_its_line_is_complete() {
        let line = LaunchMessage::Held.encode();
        assert!(LaunchMessage::decode(&line[..line.len() - 1]).is_none());
        assert!(matches!(LaunchMessage::decode(&line), Some(LaunchMessage::Held)));
        assert!(LaunchMessage::decode(b"garbage\n").is_none());
    }
}
