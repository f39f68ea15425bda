//! A daemon's log, opened once: what it says is heard also after its file was deleted.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::until;

/// An open log.
#[derive(Debug)]
pub struct Log(File);

impl Log {
    /// Opens it.
    pub fn open(path: &Path) -> Self {
        Self(File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// All of it.
    pub fn text(&self) -> String {
        let size = self.0.metadata().expect("an open file has metadata").len();
        let mut bytes = vec![0; usize::try_from(size).expect("a log that fits into memory")];
        let mut read = 0;
        while read < bytes.len() {
            match self.0.read_at(&mut bytes[read..], read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) => panic!("cannot read a log: {error}"),
            }
        }
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    /// The fields of every line that names this event, by the process of that pid or by any.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.text();
        let fields = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?["fields"].take());
        lines.lines().filter_map(fields).filter(|fields| fields["event"] == event).collect()
    }

    /// Waits for the first line that names this event.
    pub fn wait_for(&self, event: &str, patience: Duration) -> Value {
        until(&format!("the log says `{event}`"), patience, || self.events(event).into_iter().next())
    }
}
