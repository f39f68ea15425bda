//! What `--fix` may do: take access from others, and sweep what a crash left in the middle of a write. Nothing that changes
//! what a command means, as clearing a hold would; nothing that only an owner may do while there is one; never the lock.

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::survey::Role;
use aileron_discovery::{GateError, OwnerLock, StartGate, StateDir, StateFile, survey};

use super::facts::Facts;

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) struct Fix {
    /// In words, for the list.
    pub(super) what: String,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    PrivateDirectory,
    PrivateFile(String),
    Sweep,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) what: String,
    /// Why it was not done.
    pub(super) refused: Option<String>,
}

/// What would be done.
pub(super) fn plan(facts: &Facts) -> Vec<Fix> {
    let (Ok(dir), Ok(Ok(directory))) = (&facts.dir, &facts.directory) else { return Vec::new() };
    let mut plan = Vec::new();
    // What has none of a daemon's files is somebody's home, or `/tmp`, named by mistake.
    let is_a_daemons =
        matches!(&facts.entries, Ok(Ok(entries)) if entries.iter().any(|entry| entry.role == Role::File));
    if directory.owner != directory.user || !is_a_daemons {
        return plan;
    }
    if directory.mode & 0o077 != 0 {
        let what = format!("set `{}` from mode {:04o} to 0700", dir.root().display(), directory.mode);
        plan.push(Fix { what, act: Act::PrivateDirectory });
    }
    let Ok(Ok(entries)) = &facts.entries else { return plan };
    let (temporary, others): (Vec<_>, Vec<_>) =
        entries.iter().partition(|entry| entry.role == Role::Temporary);
    for entry in others {
        if entry.odd_kind.is_none() && entry.owner == directory.user && entry.mode & 0o077 != 0 {
            let path = dir.root().join(&entry.name);
            let what = format!(
                "set `{}` from mode {:04o} to {:04o}",
                path.display(),
                entry.mode,
                entry.mode & 0o700
            );
            plan.push(Fix { what, act: Act::PrivateFile(entry.name.clone()) });
        }
    }
    if !temporary.is_empty() && facts.held() != Some(true) {
        let names: Vec<_> = temporary.iter().map(|entry| format!("`{}`", entry.name)).collect();
        plan.push(Fix { what: format!("remove {}", names.join(" and ")), act: Act::Sweep });
    }
    plan
}

/// Does it, in that order: what is open to others is refused by what comes after.
pub(super) fn apply(facts: &Facts, plan: &[Fix]) -> Vec<Done> {
    let Ok(dir) = &facts.dir else { return Vec::new() };
    let one = |fix: &Fix| {
        let done = match &fix.act {
            Act::PrivateDirectory => {
                survey::make_directory_private(dir).map(drop).map_err(|error| error.to_string())
            }
            Act::PrivateFile(name) => {
                survey::make_file_private(dir, name).map(drop).map_err(|error| error.to_string())
            }
            Act::Sweep => sweep(dir),
        };
        Done { what: fix.what.clone(), refused: done.err() }
    };
    plan.iter().map(one).collect()
}

/// As the owner, for that moment: under the gate, so that nobody launches meanwhile, and with the lock, so that there is no
/// daemon. Both are only taken where they are there: a lock file is not made to tidy up.
fn sweep(dir: &StateDir) -> Result<(), String> {
    for file in [StateFile::Gate, StateFile::Lock] {
        if std::fs::symlink_metadata(dir.path(file)).is_err() {
            return Err(format!(
                "there is no `{}` to take; the next daemon does it",
                dir.tool().file_name(file)
            ));
        }
    }
    let gate = match StartGate::try_acquire(dir) {
        Ok(Some(gate)) => gate,
        Ok(None) => return Err("another client is starting or stopping a daemon".to_owned()),
        Err(GateError::Missing) => return Err("the directory went away".to_owned()),
        Err(error) => return Err(in_one_line(&error)),
    };
    let lock = OwnerLock::acquire(dir).map_err(|error| in_one_line(&error))?;
    let swept = lock.sweep().map_err(|error| in_one_line(&error));
    drop(lock);
    drop(gate);
    swept
}
