//! What an embedder writes to, outside the state directory: it refuses a writer with a smaller epoch than it has seen.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A file of lines, each an epoch and what was written under it.
#[derive(Clone, Debug)]
pub struct Receiver(PathBuf);

/// A later owner has written already, under this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The largest epoch that was seen.
    pub seen: u64,
}

impl Receiver {
    /// The receiver behind this file, which is made with the first write.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Writes `text` under `epoch`.
    ///
    /// # Errors
    ///
    /// [`Stale`] if a larger epoch has been seen; nothing is written then.
    pub fn write(&self, epoch: u64, text: &str) -> Result<(), Stale> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.0);
        let mut file = open.expect("the receiver's file can be opened");
        file.lock().expect("the receiver's file can be locked");
        let mut lines = String::new();
        file.read_to_string(&mut lines).expect("the receiver's file can be read");
        let seen = written(&lines).last().map_or(0, |(epoch, _)| *epoch);
        if epoch < seen {
            return Err(Stale { seen });
        }
        file.seek(SeekFrom::End(0)).expect("a file has an end");
        writeln!(file, "{epoch} {text}").expect("the receiver's file can be written");
        Ok(())
    }

    /// Everything that was written, with the epoch it was written under.
    pub fn lines(&self) -> Vec<(u64, String)> {
        written(&std::fs::read_to_string(&self.0).unwrap_or_default())
    }
}

fn written(lines: &str) -> Vec<(u64, String)> {
    let parse = |line: &str| {
        let (epoch, text) = line.split_once(' ').expect("an epoch and a text");
        (epoch.parse().expect("a number"), text.to_owned())
    };
    lines.lines().map(parse).collect()
}
