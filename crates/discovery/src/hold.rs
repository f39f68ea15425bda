//! The hold: after `stop --hold`, clients start nothing until somebody says `start`.

use std::io;
use std::path::PathBuf;

use crate::sys::How;
use crate::{StartGate, StateDir, StateDirError, StateFile};

/// The `hold` file. It counts by existing; what it contains, or what kind of thing it is, does not matter.
#[derive(Debug)]
pub struct Hold;

/// Why the hold could not be read, set or cleared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A system call failed.
    #[error("cannot {step} `{path}`")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Hold {
    /// Whether clients are told to start nothing. Without a directory they are not.
    ///
    /// # Errors
    ///
    /// When the directory is refused or cannot be searched.
    pub fn is_set(state_dir: &StateDir) -> Result<bool, HoldError> {
        match state_dir.open() {
            Ok(dir) => {
                dir.exists(&name(state_dir)).map_err(|source| io("look for the hold", state_dir, source))
            }
            Err(StateDirError::Missing { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is set in the directory that the held gate is in. By path a directory that is moved away and back within a
    /// moment would be seen without its hold, and its gate, asked afterwards, to be where it was.
    ///
    /// # Errors
    ///
    /// When the directory cannot be searched.
    pub fn is_set_under(gate: &StartGate) -> Result<bool, HoldError> {
        let state_dir = gate.state_dir();
        gate.dir.exists(&name(state_dir)).map_err(|source| io("look for the hold", state_dir, source))
    }

    /// Sets it. Under the gate, so that it cannot slip past a start in flight.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn set(gate: &StartGate) -> Result<(), HoldError> {
        let state_dir = gate.state_dir();
        match gate.dir.open_file(&name(state_dir), How::CreateNew) {
            // The directory was removed under its gate.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StateDirError::Missing { path: state_dir.root().to_owned() }.into())
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(io("create the hold", state_dir, error))
            }
            _ => Ok(()),
        }
    }

    /// Clears it.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be removed.
    pub fn clear(gate: &StartGate) -> Result<(), HoldError> {
        let state_dir = gate.state_dir();
        let name = name(state_dir);
        let removed = match gate.dir.odd_kind(&name) {
            Some("a directory") => gate.dir.remove_empty_dir(&name),
            _ => gate.dir.remove_file(&name),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io("remove the hold", state_dir, error))
            }
            _ => Ok(()),
        }
    }
}

fn name(state_dir: &StateDir) -> String {
    state_dir.tool().file_name(StateFile::Hold)
}

fn io(step: &'static str, state_dir: &StateDir, source: io::Error) -> HoldError {
    HoldError::Io { step, path: state_dir.path(StateFile::Hold), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tool;

    #[test]
    fn under_the_gate_it_is_read_where_the_gate_is() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state");
        let dir = StateDir::resolve(&Tool::new("aileron", "0.0.0"), Some(&path)).unwrap();
        dir.create().unwrap();
        let gate = StartGate::try_acquire(&dir).unwrap().unwrap();
        assert!(!Hold::is_set_under(&gate).unwrap());
        Hold::set(&gate).unwrap();
        assert!(Hold::is_set_under(&gate).unwrap());
        std::fs::rename(&path, temp.path().join("aside")).unwrap();
        assert!(Hold::is_set_under(&gate).unwrap(), "the directory is away for a moment");
        std::fs::create_dir(&path).unwrap();
        assert!(Hold::is_set_under(&gate).unwrap(), "and another one is in its place");
    }
}
