//! One round's home: a directory of its own for everything a client and its daemon are given.
//!
//! Whatever a round starts ends with its home: when that is dropped, each process below us is ended by `SIGKILL` through
//! a pidfd, what was mounted in the directory is unmounted, and the directory is removed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::client::Setting;
use super::mounts::unmount_below;
use super::paths::Paths;
use super::process::kill_everything;

/// How the daemons of a round are to notice a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// As they do by default.
    Events,
    /// Without file events, with that interval.
    Poll(Duration),
    /// Without file events, with the interval they choose themselves.
    PollByDefault,
}

impl Watch {
    /// The longest time between two looks. A second is the documented default without events.
    pub(crate) fn interval(self) -> Duration {
        match self {
            Self::Events => Duration::ZERO,
            Self::Poll(interval) => interval,
            Self::PollByDefault => Duration::from_secs(1),
        }
    }

    pub(crate) fn variables(self) -> Vec<(&'static str, String)> {
        let no_events = ("AILERON_NO_LOCK_EVENTS", "1".to_owned());
        match self {
            Self::Events => Vec::new(),
            Self::Poll(interval) => {
                vec![no_events, ("AILERON_LOCK_POLL_INTERVAL", format!("{}ms", interval.as_millis()))]
            }
            Self::PollByDefault => vec![no_events],
        }
    }
}

/// An empty home, and what a client in it is given.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) paths: Paths,
    pub(crate) setting: Setting,
    root: TempDir,
}

impl Home {
    /// Makes one in the directory `below`.
    pub(crate) fn make(below: &Path, binary: &Path, watch: Watch) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("aileron-xtask-").tempdir_in(below);
        let root = root.context("cannot make a temporary directory")?;
        // A daemon resolves its path once: so do we, to compare like with like.
        let resolved = root.path().canonicalize().context("cannot resolve the temporary directory")?;
        let paths = Paths::below(&resolved);
        for directory in [&paths.grand, &paths.home, &paths.tmp] {
            fs::create_dir(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
        }
        let setting = Setting {
            binary: binary.to_path_buf(),
            home: paths.home.clone(),
            tmp: paths.tmp.clone(),
            variables: watch.variables(),
            uid: None,
        };
        Ok(Self { paths, setting, root })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for ended in [kill_everything(), unmount_below(&self.paths.root)] {
            if let Err(error) = ended {
                eprintln!("xtask: {error:#}");
            }
        }
        if let Err(error) = fs::remove_dir_all(self.root.path()) {
            eprintln!("xtask: cannot remove `{}`: {error}", self.root.path().display());
        }
    }
}
