//! Why the last daemon of a directory left: `daemon.exit.json`.

use serde::{Deserialize, Serialize};

use crate::record::read_capped;
use crate::sys::DirHandle;
use crate::{Epoch, StateDir, StateDirError, StateFile};

/// What a leaving owner writes, and the next client reads to say why. A hint like the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Version of this document.
    pub schema: u32,
    /// Why it left, by the names of `server::ShutdownReason`.
    pub reason: String,
    /// Its exit status.
    pub exit_status: u8,
    /// Its version.
    pub version: String,
    /// Its pid.
    pub pid: u32,
    /// When (RFC 3339, UTC).
    pub at: String,
    /// How long it had run, in milliseconds.
    pub uptime_ms: u64,
    /// Its epoch, which its successor outbids also where the record was withdrawn.
    #[serde(default)]
    pub epoch: Option<Epoch>,
}

/// No exit record of ours is longer than 1 KiB; what is longer than this, in bytes, is not read.
const MAX_EXIT_RECORD: u64 = 64 * 1024;

impl ExitRecord {
    /// Reads it. `None`: there is none, or it is damaged.
    ///
    /// # Errors
    ///
    /// Only when the directory itself is refused.
    pub fn read(state_dir: &StateDir) -> Result<Option<Self>, StateDirError> {
        let dir = state_dir.open()?;
        Ok(Self::read_in(&dir, &state_dir.tool().file_name(StateFile::Exit)))
    }

    fn read_in(dir: &DirHandle, name: &str) -> Option<Self> {
        serde_json::from_slice(&read_capped(dir, name, MAX_EXIT_RECORD).ok()??).ok()
    }

    pub(crate) fn epoch_in(dir: &DirHandle, name: &str) -> Option<Epoch> {
        Self::read_in(dir, name)?.epoch
    }

    /// The bytes that are written: one JSON document and a newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("an exit record of strings and numbers is JSON");
        bytes.push(b'\n');
        bytes
    }
}
