//! Failures 21 and 25: full disks, files that nobody may write or replace, and records that are damaged.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use aileron_tests::{Mount, PROMPT, bench, in_own_mounts, set_mode};

use crate::scene::{Scene, killed};

#[test]
fn a_disk_that_is_full() {
    in_own_mounts(|| {
        let bench = bench!();
        let mut scene = Scene::of(&bench);
        bench.make_state();
        let mount = Mount::tmpfs(&bench.state(), ",size=64k");
        fs::write(bench.file("filler"), vec![0; 64 * 1024]).unwrap();
        scene.tell("no room is left");
        scene.types("aileron url").is(1);
        scene.types("aileron --json url").is(1);
        scene.doctor(&["space"]);
        scene.types("rm ~/.aileron/filler").is(0);
        scene.is_well();
        scene.types("aileron stop").is(0);
        mount.detach();
        let mount = Mount::tmpfs(&bench.state(), ",size=4m,nr_inodes=3");
        scene.tell("no file can be made any more");
        fs::write(bench.file("filler"), "").unwrap();
        scene.types("aileron url").is(1);
        scene.types("rm ~/.aileron/filler").is(0);
        mount.detach();
        scene.keep("disk_that_is_full");
    });
}

/// Not to be changed (`chattr(1)`), until this is dropped.
struct Immutable(PathBuf);

impl Immutable {
    fn mark(path: PathBuf) -> Self {
        let done = Command::new("chattr").arg("+i").arg(&path).status().expect("chattr(1) is there");
        assert!(
            done.success(),
            "chattr +i {}: run this as root, on a file system that has it",
            path.display()
        );
        Self(path)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let done = Command::new("chattr").arg("-i").arg(&self.0).status();
        assert!(done.is_ok_and(|done| done.success()) || std::thread::panicking());
    }
}

#[test]
fn a_record_that_cannot_be_replaced() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    killed(&bench);
    scene.tell("daemon.json is immutable");
    let marked = Immutable::mark(bench.file("daemon.json"));
    scene.types("aileron url").is(1);
    scene.types("aileron --json url").is(1);
    drop(marked);
    scene.is_well();
    scene.types("aileron stop").is(0);
    scene.tell("a directory with something in it stands at its place");
    fs::create_dir(bench.file("daemon.json")).unwrap();
    fs::write(bench.file("daemon.json/keep"), "").unwrap();
    scene.types("aileron url").is(0);
    scene.doctor(&["temporary_files"]);
    scene.keep("record_that_cannot_be_replaced");
}

/// Files that this user may not open, by their mode, their owner or their mount.
#[test]
fn files_that_are_kept_from_their_user() {
    let bench = bench!();
    let mut scene = Scene::of_lone_user(&bench);
    scene.types("aileron url").is(0);
    scene.types("aileron stop").is(0);
    scene.tell("daemon.lock has no permission bits");
    set_mode(&bench.file("daemon.lock"), 0);
    scene.types("aileron url").is(1);
    scene.types("chmod 600 ~/.aileron/daemon.lock").is(0);
    scene.is_well();
    scene.types("aileron stop").is(0);
    scene.tell("start.lock is root's, as after `sudo`");
    std::os::unix::fs::chown(bench.file("start.lock"), Some(0), Some(0)).unwrap();
    scene.types("aileron url").is(1);
    fs::remove_file(bench.file("start.lock")).unwrap();
    scene.is_well();
    scene.keep("files_that_are_kept_from_their_user");
}

/// Nothing that a record says, or fails to say, is in anybody's way.
#[test]
fn a_record_that_is_damaged() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    killed(&bench);
    for (what, line) in [
        ("a record that was cut", "printf '{\"url\": \"htt' > ~/.aileron/daemon.json"),
        ("an empty one", "rm -rf ~/.aileron/daemon.json; touch ~/.aileron/daemon.json"),
        ("a FIFO in its place", "rm -rf ~/.aileron/daemon.json; mkfifo ~/.aileron/daemon.json"),
        ("none", "rm -rf ~/.aileron/daemon.json"),
    ] {
        scene.tell(what);
        scene.types(line).is(0);
        scene.types("aileron -v url 2>&1 | sed 's/in [0-9]* ms/in [N] ms/'").is(0);
        let daemon = bench.daemon();
        daemon.process.kill();
        daemon.process.wait(PROMPT);
    }
    scene.keep("record_that_is_damaged");
}
