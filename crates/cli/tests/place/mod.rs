//! One test's own home, and what is told of it: paths and numbers that differ from run to run have a name each.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

/// No command may hang on bad input; most answer in milliseconds.
const NO_HANG: Duration = Duration::from_secs(20);

/// An unprivileged user.
pub(crate) const NOBODY: u32 = 65534;

/// A home with a state directory that may be anything.
pub(crate) struct Place {
    temp: TempDir,
}

/// Everything below a directory: kind and mode, inode and size.
pub(crate) type Tree = BTreeMap<PathBuf, (u32, u64, u64)>;

impl Place {
    pub(crate) fn new() -> Self {
        let base = std::env::temp_dir().canonicalize().expect("a directory for temporary files");
        let temp =
            tempfile::Builder::new().prefix("aileron-cli-").tempdir_in(base).expect("a temporary directory");
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).expect("a mode of our own");
        Self { temp }
    }

    pub(crate) fn home(&self) -> &Path {
        self.temp.path()
    }

    /// The state directory, which is not made.
    pub(crate) fn state(&self) -> PathBuf {
        self.home().join(".aileron")
    }

    /// The state directory, made with this mode.
    pub(crate) fn make_state(&self, mode: u32) -> PathBuf {
        let state = self.state();
        fs::create_dir(&state).expect("a directory");
        fs::set_permissions(&state, fs::Permissions::from_mode(mode)).expect("a mode of our own");
        state
    }

    /// The binary, with this home and nothing else in its environment.
    pub(crate) fn aileron<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aileron"));
        command.env_clear().env("HOME", self.home()).env("PATH", "/usr/bin:/bin").args(args);
        command
    }

    /// Everything below the home.
    pub(crate) fn tree(&self) -> Tree {
        let mut found = Tree::new();
        visit(self.home(), &mut found);
        found
    }
}

/// Runs a command that must come to an end by itself.
pub(crate) fn run(command: Command) -> Output {
    let mut command = assert_cmd::Command::from_std(command);
    command.timeout(NO_HANG).output().expect("the binary can be run, and ends in time")
}

fn visit(path: &Path, found: &mut Tree) {
    let Ok(facts) = fs::symlink_metadata(path) else { return };
    if facts.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            visit(&entry.path(), found);
        }
    }
    found.insert(path.to_owned(), (facts.mode(), facts.ino(), facts.len()));
}
