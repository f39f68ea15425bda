//! What is in a state directory, compared to the inode and the byte.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

/// The three files by which a daemon is known, each with its inode and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<&'static str, Option<(u64, Vec<u8>)>>);

impl Snapshot {
    /// As they are now.
    pub fn of(state: &Path) -> Self {
        let of = |name| {
            let path = state.join(name);
            let inode = fs::symlink_metadata(&path).ok()?.ino();
            Some((inode, fs::read(&path).ok()?))
        };
        Self(["daemon.lock", "daemon.json", "daemon.pid"].map(|name| (name, of(name))).into_iter().collect())
    }
}

/// Everything below a directory: name, kind, mode, inode, size and time of change of each entry.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree(Vec<(String, u32, u64, u64, i64, i64)>);

impl Tree {
    /// As it is now.
    pub fn of(root: &Path) -> Self {
        let mut found = Vec::new();
        visit(root, &mut found);
        found.sort();
        Self(found)
    }
}

fn visit(path: &Path, found: &mut Vec<(String, u32, u64, u64, i64, i64)>) {
    let Ok(facts) = fs::symlink_metadata(path) else { return };
    found.push((
        path.to_string_lossy().into_owned(),
        facts.mode(),
        facts.ino(),
        facts.len(),
        facts.mtime(),
        facts.mtime_nsec(),
    ));
    if facts.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            visit(&entry.path(), found);
        }
    }
}

/// Takes the exclusive `flock` of a file, which is made if need be; held until the file is dropped.
pub fn lock_file(path: &Path) -> File {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.try_lock().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file
}

/// Makes a twin of a private directory: each of its files has a second name there.
pub fn link_all(directory: &Path, twin: &Path) {
    fs::create_dir(twin).expect("a directory beside it");
    set_mode(twin, 0o700);
    for entry in fs::read_dir(directory).expect("it can be read") {
        let entry = entry.expect("it can be read");
        fs::hard_link(entry.path(), twin.join(entry.file_name())).expect("a link to a file of our own");
    }
}

/// Sets permission bits.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode of our own file can be set");
}

/// Whether there is no such file, or nothing in it.
pub fn says_nothing(path: &Path) -> bool {
    fs::read(path).unwrap_or_default().is_empty()
}

/// Copies a program by cp(1): had this process it open for writing, a child that another thread has just forked would keep it
/// so, and it could not be executed (`ETXTBSY`).
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status().expect("cp(1) is there");
    assert!(copied.success(), "cp {} {}", from.display(), to.display());
}

/// Makes a FIFO.
pub fn put_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo(1) is there");
    assert!(made.success(), "mkfifo {}", path.display());
}
