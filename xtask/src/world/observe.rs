//! The observer: what the kernel says of processes, locks, files and ports. Nothing here asks the program under test.

mod files;
mod locks;
mod ports;
mod table;
mod threads;
mod usage;

pub(crate) use files::{FileId, Handle, Snapshot, describe_path};
pub(crate) use locks::held_flocks;
pub(crate) use ports::listening_ports;
pub(crate) use table::{become_subreaper, descendants, has_reaped, runs};
pub(crate) use threads::{threads, wait_asleep};
pub(crate) use usage::{Usage, cpu_us, usage};
