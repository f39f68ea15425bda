//! What ran out, where a system call failed for that and for nothing else that its caller could have done better.

use std::error::Error;
use std::io;

use crate::sys;

/// What there was none left of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortage {
    /// Descriptors of this process (`EMFILE`).
    Descriptors,
    /// Descriptors of the whole system (`ENFILE`).
    SystemDescriptors,
    /// Room in the file: a limit on file sizes (`EFBIG`).
    FileSize,
    /// Room on the file system, or in somebody's quota of it (`ENOSPC`, `EDQUOT`).
    Space,
    /// Memory (`ENOMEM`).
    Memory,
}

impl Shortage {
    /// The first that an error, or what caused it, tells of.
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(shortage) = error.downcast_ref::<io::Error>().and_then(sys::shortage) {
                return Some(shortage);
            }
            next = error.source();
        }
        None
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Descriptors => {
                "no descriptor is left to the process: raise the limit (`ulimit -n`) and try again"
            }
            Self::SystemDescriptors => {
                "the system has no descriptor left: see who has them (`lsof`), or raise `fs.file-max`"
            }
            Self::FileSize => {
                "a limit on the size of files is in force: raise it (`ulimit -f`) and try again"
            }
            Self::Space => "make room on that file system, or raise the quota",
            Self::Memory => "no memory is left: raise the limit (`ulimit -v`), or end something else",
        }
    }
}
