//! Checks of the state directory and what is in it.

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::survey::Role;
use aileron_discovery::{StateDir, StateDirError, StateFile};

use super::check::Verdict;
use super::facts::{Facts, NOWHERE};

/// A directory that may be used, or may be made. Everything else rests on it.
pub(super) fn state_dir(facts: &Facts) -> Verdict {
    let dir = match &facts.dir {
        Ok(dir) => dir,
        Err(error) => {
            let remedy = format!(
                "set HOME, or name the directory with --state-dir or {}",
                facts.tool.env_var("STATE_DIR")
            );
            return Verdict::failure(in_one_line(error), remedy);
        }
    };
    let shown = format!("{} ({})", dir.root().display(), dir.rule().name());
    let check = match &facts.check {
        Ok(check) => check,
        Err(why) => return Verdict::unanswered(&format!("{shown}: {why}")),
    };
    match (check, &facts.writable) {
        (_, Err(why)) => Verdict::unanswered(&format!("{shown}: {why}")),
        (Ok(()), Ok((_, true))) => Verdict::ok(format!("{shown}, yours")),
        (Ok(()), Ok((_, false))) => Verdict::failure(
            format!("{shown}: you may not write in it, so no daemon can start; one that runs is found"),
            "see its mode, and whether its file system is read-only; or name another with --state-dir",
        ),
        (Err(StateDirError::Missing { .. }), Ok((_, true))) => {
            Verdict::ok(format!("{shown}: there is none yet; the first start makes it"))
        }
        (Err(StateDirError::Missing { .. }), Ok((nearest, false))) => Verdict::failure(
            format!("{shown}: there is none, and you may not make one in {}", nearest.display()),
            "name another with --state-dir",
        ),
        (Err(error @ StateDirError::WritableByOthers { .. }), _) => {
            Verdict::failure(in_one_line(error), format!("`{} daemon doctor --fix`", facts.tool.name()))
        }
        (Err(error @ StateDirError::Io { .. }), _) => {
            Verdict::failure(in_one_line(error), "see its mode and owner; or name another with --state-dir")
        }
        (Err(error), _) => Verdict::failure(in_one_line(error), "name another with --state-dir"),
    }
}

/// Nobody else reads a token (P12).
pub(super) fn modes(facts: &Facts) -> Verdict {
    let directory = match &facts.directory {
        Ok(Ok(directory)) => directory,
        Ok(Err(error)) => return nothing_there(error),
        Err(why) => return missing(facts, why),
    };
    let entries = match &facts.entries {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => {
            return Verdict::failure(format!("cannot read the directory: {error}"), "see its mode");
        }
        Err(why) => return missing(facts, why),
    };
    // What is in the middle of being written, or was left so, is `temporary_files`' business.
    let files = || entries.iter().filter(|entry| entry.odd_kind.is_none() && entry.role != Role::Temporary);
    if let Some(entry) = files().find(|entry| entry.owner != directory.user) {
        let evidence =
            format!("`{}` belongs to uid {}, and you are {}", entry.name, entry.owner, directory.user);
        return Verdict::failure(evidence, "give it back with `chown`; was a command run with sudo?");
    }
    let mut loose: Vec<String> = files()
        .filter(|entry| entry.mode & 0o077 != 0)
        .map(|entry| format!("`{}` has mode {:04o}", entry.name, entry.mode))
        .collect();
    if directory.owner == directory.user && directory.mode & 0o077 != 0 {
        loose.insert(0, format!("the directory has mode {:04o}", directory.mode));
    }
    if loose.is_empty() {
        return Verdict::ok(format!(
            "the directory {:04o}, {} files for you alone",
            directory.mode,
            entries.len()
        ));
    }
    let remedy = format!("`{} daemon doctor --fix` takes access from others", facts.tool.name());
    Verdict::warning(loose.join(", "), remedy)
}

/// Where locks or events may not be what they seem (failure 18).
pub(super) fn file_system(facts: &Facts) -> Verdict {
    let found = match &facts.file_system {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Verdict::skipped(format!("cannot be told: {error}")),
        Err(why) => return missing(facts, why),
    };
    let (name, kind) = kind_of(found.magic);
    if found.read_only {
        return Verdict::warning(
            format!("{name}, mounted read-only: a daemon that runs is found, and none can start"),
            "name a directory on another with --state-dir",
        );
    }
    let other = "prefer a directory on a local file system (--state-dir)";
    match kind {
        Kind::Local => Verdict::ok(name),
        Kind::Memory => Verdict::ok(format!("{name}: in memory, so it is empty after a boot")),
        Kind::Overlay => Verdict::ok(format!("{name}: it goes with its container")),
        Kind::UserSpace => Verdict::warning(
            format!("{name}: its locks and file events are what its server makes them"),
            other,
        ),
        Kind::Network => Verdict::warning(
            format!("{name}: other hosts change it without an event here, and may not see its locks"),
            other,
        ),
        Kind::Unknown => Verdict::ok(format!("{name}: of no kind that is known to lie about locks")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Local,
    Memory,
    Overlay,
    UserSpace,
    Network,
    Unknown,
}

/// Numbers: `statfs(2)`, linux/magic.h.
fn kind_of(magic: Option<u32>) -> (String, Kind) {
    let (name, kind) = match magic {
        Some(0xEF53) => ("ext4", Kind::Local),
        Some(0x5846_5342) => ("XFS", Kind::Local),
        Some(0x9123_683E) => ("Btrfs", Kind::Local),
        Some(0x2FC1_2FC1) => ("ZFS", Kind::Local),
        Some(0xF2F5_2010) => ("F2FS", Kind::Local),
        Some(0xCA45_1A4E) => ("bcachefs", Kind::Local),
        Some(0xF15F) => ("eCryptfs", Kind::Local),
        Some(0x0102_1994) => ("tmpfs", Kind::Memory),
        Some(0x8584_58F6) => ("ramfs", Kind::Memory),
        Some(0x794C_7630) => ("overlayfs", Kind::Overlay),
        Some(0x6573_5546) => ("FUSE", Kind::UserSpace),
        Some(0x6969) => ("NFS", Kind::Network),
        Some(0x517B | 0xFF53_4D42 | 0xFE53_4D42) => ("SMB", Kind::Network),
        Some(0x0102_1997) => ("9P", Kind::Network),
        Some(0x00C3_6400) => ("Ceph", Kind::Network),
        Some(0x5346_414F | 0x6B41_4653) => ("AFS", Kind::Network),
        Some(0x7375_7245) => ("Coda", Kind::Network),
        Some(0x0BD0_0BD0) => ("Lustre", Kind::Network),
        Some(0x0116_1970) => ("GFS2", Kind::Network),
        Some(0x7461_636F) => ("OCFS2", Kind::Network),
        Some(other) => return (format!("file system {other:#x}"), Kind::Unknown),
        None => ("a file system without a number", Kind::Unknown),
    };
    (name.to_owned(), kind)
}

/// A record and a log have to go somewhere (failure 25).
pub(super) fn space(facts: &Facts) -> Verdict {
    // A log line away from none; and a daemon makes seven files, and a start two more for a moment.
    const FEW_BYTES: u64 = 1024 * 1024;
    const FEW_FILES: u64 = 16;
    let found = match &facts.file_system {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Verdict::skipped(format!("cannot be told: {error}")),
        Err(why) => return missing(facts, why),
    };
    let files = found.free_files.map_or(String::new(), |files| format!(", {files} files"));
    let evidence = format!("{} KiB free{files}", found.free_bytes / 1024);
    let remedy = "free some, or name a directory elsewhere with --state-dir";
    if found.free_bytes == 0 || found.free_files == Some(0) {
        Verdict::failure(evidence, remedy)
    } else if found.free_bytes < FEW_BYTES || found.free_files.is_some_and(|files| files < FEW_FILES) {
        Verdict::warning(evidence, remedy)
    } else {
        Verdict::ok(evidence)
    }
}

/// What a crash left in the middle of a write, and what an owner moved out of its way.
pub(super) fn temporary_files(facts: &Facts) -> Verdict {
    let entries = match &facts.entries {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => return nothing_there(error),
        Err(why) => return missing(facts, why),
    };
    let names = |role| -> Vec<&str> {
        entries.iter().filter(|entry| entry.role == role).map(|entry| entry.name.as_str()).collect()
    };
    let (temporary, aside) = (names(Role::Temporary), names(Role::Aside));
    match (temporary.as_slice(), aside.as_slice()) {
        ([], []) => Verdict::ok("none"),
        ([], aside) => Verdict::warning(
            format!("{} stood in the daemon's way and was moved aside", aside.join(", ")),
            "see whose it is; nothing here removes it",
        ),
        (temporary, _) if facts.held() == Some(true) => Verdict::ok(format!(
            "{}: the running daemon replaces it when it writes next",
            temporary.join(", ")
        )),
        (temporary, _) => Verdict::warning(
            format!("{} was left by a crash", temporary.join(", ")),
            format!("the next daemon sweeps it, or `{} daemon doctor --fix`", facts.tool.name()),
        ),
    }
}

/// A log that grows without bound, or that nobody can write (failure 27).
pub(super) fn log(facts: &Facts) -> Verdict {
    /// A few lines may come between the cap and the rotation.
    const SLACK: u64 = 1024 * 1024;
    let Ok(dir) = &facts.dir else { return Verdict::skipped(NOWHERE) };
    let entries = match &facts.entries {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => return nothing_there(error),
        Err(why) => return missing(facts, why),
    };
    let path = dir.path(StateFile::Log);
    let name = dir.tool().file_name(StateFile::Log);
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        return Verdict::ok("there is none yet");
    };
    if let Some(kind) = entry.odd_kind {
        let evidence = format!("`{}` is {kind}, not a file", path.display());
        return Verdict::warning(evidence, "the next daemon moves it aside");
    }
    match facts.log_writable {
        Ok(true) => {}
        Ok(false) => {
            let evidence = format!("you may not write `{}`", path.display());
            return Verdict::failure(evidence, "see its mode and owner");
        }
        Err(ref why) => return Verdict::unanswered(why),
    }
    let cap = facts
        .view()
        .map_or_else(|| aileron_server::Config::new().log_max_size, |view| view.options.log_max_size);
    let evidence = format!("{} ({} KiB of {})", path.display(), entry.size / 1024, cap / 1024);
    if entry.size > cap.saturating_add(SLACK) {
        return Verdict::warning(evidence, "the next daemon rotates it; what writes to it now?");
    }
    Verdict::ok(evidence)
}

/// Why there is no answer about the directory: no time, or no path.
pub(super) fn missing(facts: &Facts, why: &str) -> Verdict {
    if facts.dir.is_err() { Verdict::skipped(why) } else { Verdict::unanswered(why) }
}

/// No directory, nothing in it; what is wrong with one that is there says `state_dir`.
pub(super) fn nothing_there(error: &std::io::Error) -> Verdict {
    match error.kind() {
        std::io::ErrorKind::NotFound => Verdict::skipped("there is no directory yet"),
        _ => Verdict::skipped(format!("the directory cannot be looked at: {error}")),
    }
}

/// The same for errors about the directory.
pub(super) fn refused(error: &StateDirError) -> Verdict {
    if error.is_missing() {
        Verdict::skipped("there is no directory yet")
    } else {
        Verdict::skipped("the directory is refused; see `state_dir`")
    }
}

/// The path of a file, for people.
pub(super) fn shown(dir: &StateDir, file: StateFile) -> String {
    dir.path(file).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_systems_that_matter_are_known() {
        for (magic, kind) in [
            (0xEF53, Kind::Local),
            (0x0102_1994, Kind::Memory),
            (0x794C_7630, Kind::Overlay),
            (0x6573_5546, Kind::UserSpace),
            (0x6969, Kind::Network),
            (0xFE53_4D42, Kind::Network),
            (0x1234, Kind::Unknown),
        ] {
            assert_eq!(kind_of(Some(magic)).1, kind, "{magic:#x}");
        }
        assert_eq!(kind_of(None).1, Kind::Unknown);
    }
}
