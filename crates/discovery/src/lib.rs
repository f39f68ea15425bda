//! Who and where is the daemon?
//!
//! One background daemon per user and *state directory*. This crate knows the files of that directory and what they
//! prove; it starts nothing, kills nothing, connects to nothing, and has no async code.
//!
//! # Theory of operation
//!
//! A daemon is *the* daemon of a directory while two things are true: it holds the exclusive `flock(2)` of
//! `daemon.lock`, **and** the inode it holds is the one that stands at the path. The first alone is not enough: a lock
//! pins an inode, not a name, so after `rm -rf` a daemon goes on holding a perfectly valid lock on a file nobody can
//! reach, while its successor locks a fresh one. [`OwnerLock`] is therefore compared with the path after it is acquired,
//! and [`Ownership`] is asked again for as long as the daemon lives.
//!
//! Everything else is a hint. The record ([`Advertisement`]) says where the daemon may be found, and is believed only
//! once the daemon behind the address has proved the record's [`InstanceId`]. A pid is never proof of anything
//! ([`process`]).
//!
//! What changes the directory takes the guard that gives the right to: [`OwnerLock::publish`], [`Hold::set`] with a
//! [`StartGate`]. With a [`StateDir`] alone one can only read.
//!
//! # Lock order
//!
//! Gate, lock, directory. Nobody takes an earlier one while holding a later one.

mod barrier;
mod deadline;
mod epoch;
mod exit_record;
#[doc(hidden)]
pub mod failpoint;
mod file_id;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod hold;
mod lock;
mod ownership;
mod preflight;
mod probe;
pub mod process;
pub mod protocol;
mod publication;
mod record;
mod secret;
mod shortage;
mod state_dir;
pub mod survey;
mod sys;
mod tool;

pub use barrier::Barrier;
pub use deadline::Deadline;
pub use epoch::{Epoch, EpochError};
pub use exit_record::ExitRecord;
pub use file_id::{FileId, IdentityError, file_identity, held_identity};
pub use gate::{GateError, StartGate};
pub use hold::{Hold, HoldError};
pub use lock::{AcquireError, OwnerLock};
pub use ownership::{Displacement, Look, NotOwner, Ownership, SECOND_LOOK, Verdict};
pub use preflight::preflight;
pub use probe::{LockProbe, ProbeError, probe_lock};
pub use publication::PublishError;
pub use record::{Advertisement, Endpoint, EndpointError, Reading};
pub use secret::{InstanceId, Nonce, SecretError, Token};
pub use shortage::Shortage;
pub use state_dir::{Rule, StateDir, StateDirError, make_files_private};
pub use tool::{StateFile, Tool};
