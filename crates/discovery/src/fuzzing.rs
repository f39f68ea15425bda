//! The parsers of what others wrote that nobody outside needs, for the project's own fuzzing and for nothing else: no part of
//! the interface, and no version keeps it.

use std::ffi::OsString;

use crate::Tool;
use crate::process::HeldFlock;
use crate::process::proc_text;
use crate::survey::{Role, role_of};

/// What `/proc/PID/stat` gives of a living process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The parent.
    pub parent: Option<u32>,
    /// Ticks after boot.
    pub start_time: Option<u64>,
    /// Whether it is stopped.
    pub is_paused: bool,
}

/// `None`: no such process, or a zombie.
pub fn stat(text: &[u8]) -> Option<Stat> {
    let fields = proc_text::stat_fields(text)?;
    let (parent, start_time) = (proc_text::parent(&fields), proc_text::start_time(&fields));
    Some(Stat { parent, start_time, is_paused: proc_text::is_paused(&fields) })
}

/// The inode number in a line of `/proc/PID/fdinfo/FD`.
pub fn exclusive_flock(line: &str) -> Option<u64> {
    proc_text::exclusive_flock(line)
}

/// The words of `/proc/PID/cmdline` or `environ`.
pub fn words(text: &[u8]) -> Vec<&[u8]> {
    proc_text::words(text).collect()
}

/// The value of a variable in such a word.
pub fn value_of<'a>(word: &'a [u8], name: &str) -> Option<&'a [u8]> {
    proc_text::value_of(word, name)
}

/// The path in `/proc/PID/cgroup`.
pub fn control_group(text: &str) -> String {
    proc_text::control_group(text)
}

/// The directory that arguments name.
pub fn named_by_option(arguments: &[OsString]) -> Option<OsString> {
    proc_text::named_by_option(arguments)
}

/// What a name in the state directory is of.
pub fn role(tool: &Tool, name: &str) -> Option<Role> {
    role_of(tool, name)
}

/// Whether a held file, with the path that the kernel shows, is or was the one of this name.
pub fn is_named(held: &HeldFlock, name: &str) -> bool {
    held.is_named(name)
}
