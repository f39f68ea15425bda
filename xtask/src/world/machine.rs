//! Where the times were taken: they mean little without it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Kernel and number of processors.
pub(crate) fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("Linux {}, {processors} processors", kernel.trim())
}

/// What the processor calls itself, if it does.
pub(crate) fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// The kind of file system that a directory is on. Numbers: `statfs(2)`, linux/magic.h.
pub(crate) fn file_system(directory: &Path) -> Result<String> {
    let found = rustix::fs::statfs(directory)
        .with_context(|| format!("cannot ask for the file system of `{}`", directory.display()))?;
    let name = match found.f_type {
        0xEF53 => "ext4",
        0x0102_1994 => "tmpfs",
        0x9123_683E => "btrfs",
        0x5846_5342 => "xfs",
        0x794C_7630 => "overlay",
        0x2FC1_2FC1 => "zfs",
        other => return Ok(format!("type {other:#x}")),
    };
    Ok(name.to_owned())
}
