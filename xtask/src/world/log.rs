//! A daemon's log, read through a descriptor that was opened while the file still had a path.
//!
//! The log is the one thing here that the program says of itself. Scenarios use it to check that a displaced daemon
//! tells which inode became which, and the report draws it beside what the observer saw.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::Value;

/// One lifecycle line: its `fields.event` and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) time: SystemTime,
    pub(crate) event: String,
    pub(crate) message: String,
    fields: Value,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.event, self.fields)
    }
}

impl Line {
    /// A field's value as text.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        match self.fields.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }
}

/// The log file of one daemon, held open.
#[derive(Debug)]
pub(crate) struct LogTap {
    file: File,
    pid: u32,
}

impl LogTap {
    pub(crate) fn open(path: &Path, pid: u32) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open the log `{}`", path.display()))?;
        Ok(Self { file, pid })
    }

    /// This daemon's lifecycle lines so far. Another daemon may have written to the same file before or after.
    pub(crate) fn lines(&self) -> Result<Vec<Line>> {
        let text = self.text()?;
        let mut ours = false;
        let pid = self.pid.to_string();
        let kept = text.lines().filter_map(parse).filter(|line| {
            if line.event == "ready" {
                ours = line.field("pid").as_deref() == Some(pid.as_str());
            }
            ours
        });
        Ok(kept.collect())
    }

    /// The first line of an event, whichever daemon wrote it and when.
    pub(crate) fn first(&self, event: &str) -> Result<Option<Line>> {
        Ok(self.text()?.lines().filter_map(parse).find(|line| line.event == event))
    }

    /// All of it, from the start.
    pub(crate) fn text(&self) -> Result<String> {
        let length = self.file.metadata().context("cannot look at the open log")?.len();
        let mut bytes = vec![0; usize::try_from(length).context("the log is too long")?];
        self.file.read_exact_at(&mut bytes, 0).context("cannot read the open log")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Lines that are no JSON, or have no event, are somebody else's business.
fn parse(line: &str) -> Option<Line> {
    let document: Value = serde_json::from_str(line).ok()?;
    let time: jiff::Timestamp = document.get("timestamp")?.as_str()?.parse().ok()?;
    let fields = document.get("fields")?.clone();
    let text = |name| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Line {
        time: SystemTime::try_from(time).ok()?,
        event: text("event")?,
        message: text("message").unwrap_or_default(),
        fields,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_lines_of_one_daemon_are_told_from_anothers() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        for (event, rest) in [
            ("ready", ",\"pid\":1"),
            ("displaced", ",\"held\":\"1:2\",\"at_path\":\"nothing\""),
            ("ready", ",\"pid\":22"),
            ("ended", ",\"reason\":\"sigterm\""),
        ] {
            writeln!(
                file,
                "{{\"timestamp\":\"2026-01-02T03:04:05.678901Z\",\"fields\":{{\"event\":\"{event}\"{rest}}}}}"
            )
            .expect("written");
        }
        writeln!(file, "a line of another kind").expect("written");
        let events = |pid| {
            let tap = LogTap::open(file.path(), pid).expect("opened");
            tap.lines().expect("read").into_iter().map(|line| line.event).collect::<Vec<_>>()
        };
        assert_eq!(events(1), ["ready", "displaced"]);
        assert_eq!(events(22), ["ready", "ended"]);
        let tap = LogTap::open(file.path(), 1).expect("opened");
        assert_eq!(tap.lines().expect("read")[1].field("at_path").as_deref(), Some("nothing"));
    }
}
