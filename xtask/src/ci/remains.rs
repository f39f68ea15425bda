//! What a test run could leave behind: processes of programs that were built here, and state directories in the real
//! home. Tests that leak daemons are how such daemons are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::workspace::Workspace;

/// State directories that our programs make where no test has told them otherwise.
const STATE_DIRS: [&str; 2] = [".aileron", ".tally"];

/// What was there at one moment.
#[derive(Debug)]
pub(super) struct Remains {
    /// By pid: the programs from the target directory that run, ourselves left out.
    processes: BTreeMap<u32, PathBuf>,
    state_dirs: Vec<PathBuf>,
}

impl Remains {
    pub(super) fn look(workspace: &Workspace) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let named = home.iter().flat_map(|home| STATE_DIRS.iter().map(move |name| home.join(name)));
        Self {
            processes: running_from(workspace.target_dir()),
            state_dirs: named.filter(|path| path.symlink_metadata().is_ok()).collect(),
        }
    }

    /// Says what an earlier run left: it is not this run's fault, and may yet be the cause of what it sees.
    pub(super) fn announce(&self) {
        for (pid, program) in &self.processes {
            println!("note: process {pid} (`{}`) was already running", program.display());
        }
        for path in &self.state_dirs {
            println!("note: `{}` was already there", path.display());
        }
    }

    /// Fails on what is there now and was not before.
    pub(super) fn compare(&self, after: &Self) -> Result<()> {
        let mut new: Vec<String> = Vec::new();
        for (pid, program) in &after.processes {
            if self.processes.get(pid) != Some(program) {
                new.push(format!("process {pid} (`{}`)", program.display()));
            }
        }
        let made = after.state_dirs.iter().filter(|path| !self.state_dirs.contains(path));
        new.extend(made.map(|path| format!("`{}`", path.display())));
        ensure!(new.is_empty(), "left behind: {}", new.join(", "));
        Ok(())
    }
}

/// Processes whose program lies below `directory`. Empty where there is no procfs.
fn running_from(directory: &Path) -> BTreeMap<u32, PathBuf> {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter_map(|pid| Some((pid, std::fs::read_link(format!("/proc/{pid}/exe")).ok()?)))
        .filter(|(_, program)| program.starts_with(&directory))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains(processes: &[(u32, &str)], state_dirs: &[&str]) -> Remains {
        Remains {
            processes: processes.iter().map(|(pid, program)| (*pid, PathBuf::from(program))).collect(),
            state_dirs: state_dirs.iter().map(PathBuf::from).collect(),
        }
    }

    #[test]
    fn only_what_is_new_is_a_failure() {
        let before = remains(&[(7, "target/release/aileron")], &["home/.tally"]);
        assert!(before.compare(&remains(&[(7, "target/release/aileron")], &["home/.tally"])).is_ok());
        assert!(before.compare(&remains(&[], &[])).is_ok());
        for after in [
            remains(&[(8, "target/release/aileron")], &[]),
            remains(&[(7, "target/debug/another")], &[]),
            remains(&[], &["home/.aileron"]),
        ] {
            assert!(before.compare(&after).is_err(), "{after:?}");
        }
    }
}
