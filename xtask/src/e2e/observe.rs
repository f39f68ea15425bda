//! The observer: what the kernel says of processes, locks, files and ports. Nothing here asks the program under test.

mod files;
mod locks;
mod ports;
mod table;

pub(super) use files::{FileId, Snapshot, describe_path};
pub(super) use locks::held_flocks;
pub(super) use ports::listening_ports;
pub(super) use table::{become_subreaper, descendants, has_reaped, runs};
