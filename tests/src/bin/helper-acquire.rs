//! Acquires the lock of the state directory it is given, looks whether it is the owner, and frees it, again and again. Ends
//! with status 1 when an acquired lock is not the one at the path.

use std::path::PathBuf;
use std::process::ExitCode;

use aileron_discovery::{OwnerLock, StateDir, Verdict};

fn main() -> ExitCode {
    let path = PathBuf::from(std::env::args_os().nth(1).expect("a state directory"));
    let state_dir = StateDir::resolve(&aileron_cli::tool(), Some(&path)).expect("a state directory");
    loop {
        let lock = OwnerLock::acquire(&state_dir).expect("nobody else wants the lock");
        if lock.ownership().verify() != Verdict::Owner {
            return ExitCode::FAILURE;
        }
    }
}
