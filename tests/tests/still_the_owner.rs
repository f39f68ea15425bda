//! P5 and failure 16: the path leads to the held lock by another way, and that is no loss. What can no longer be watched is
//! polled, and said.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use aileron_tests::{Bench, Daemon, End, FileSystem, PROMPT, bench, link_all, set_mode, until};
use rustix::fs::{CWD, RenameFlags};

const BOTH: [FileSystem; 2] = [FileSystem::Disk, FileSystem::Memory];

/// Moves `path` to `elsewhere` and leaves a symlink to it, in one step: the link is made under the other's name, where it
/// points to itself, and then the names are exchanged.
fn move_and_link(path: &Path, elsewhere: &Path) {
    symlink(elsewhere, elsewhere).unwrap();
    rustix::fs::renameat_with(CWD, path, CWD, elsewhere, RenameFlags::EXCHANGE).unwrap();
}

/// Waits until the daemon says that it polls, because of `path`; in its log and when it is asked.
fn polls_because_of(daemon: &Daemon, path: &Path) {
    let path = path.to_str().unwrap();
    until("the log says that it polls", PROMPT, || {
        let said = daemon.log.events("watching").pop()?;
        let why = said["missing"].as_str()?;
        (said["mode"] == "poll" && said["interval_ms"] == 1000 && why.contains(path)).then_some(())
    });
    // It is said in the log a moment before it can be asked for.
    let watcher = until("the daemon says so too", PROMPT, || {
        Some(daemon.view()["watcher"].take()).filter(|watcher| watcher["mode"] == "poll")
    });
    assert_eq!(watcher["interval_ms"], 1000, "{watcher}");
    assert!(watcher["missing"].as_array().unwrap().iter().any(|why| why.as_str().unwrap().contains(path)));
    assert!(daemon.log.events("displaced").is_empty());
}

/// A polling daemon finds the loss of its lock, too.
fn ends_when_the_lock_goes(bench: &Bench, daemon: &Daemon) {
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
}

/// Failure 26: a home is moved to a larger disk, and a symlink left in its place. The lock is the same by either path, and
/// one daemon serves both spellings.
#[test]
fn p5_an_ancestor_that_became_a_symlink_to_itself() {
    for (file_system, level) in [(FileSystem::Disk, 1), (FileSystem::Memory, 2)] {
        let bench = bench!(file_system);
        let daemon = bench.start(&[]);
        let state = bench.state();
        let ancestor = state.ancestors().nth(level).unwrap();
        move_and_link(ancestor, &bench.root().join("elsewhere"));
        polls_because_of(&daemon, ancestor);
        daemon.three_looks();
        assert_eq!(daemon.handshake().unwrap().status, 200);
        assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
        bench.only(&daemon);
        ends_when_the_lock_goes(&bench, &daemon);
    }
}

/// The same with the state directory itself. No client uses a directory behind a symlink, and none starts a second daemon
/// there; the one that runs is proved by nothing to be displaced, so it serves on.
#[test]
fn p5_a_state_directory_that_became_a_symlink_to_itself() {
    for file_system in BOTH {
        let bench = bench!(file_system);
        let daemon = bench.start(&[]);
        move_and_link(&bench.state(), &bench.beside("elsewhere"));
        polls_because_of(&daemon, &bench.state());
        daemon.three_looks();
        assert_eq!(daemon.handshake().unwrap().status, 200);
        let refused = bench.aileron(&["url"]).fail(1);
        assert!(refused.stderr.contains("is a symlink"), "{refused:?}");
        bench.only(&daemon);
        ends_when_the_lock_goes(&bench, &daemon);
    }
}

/// A directory is swapped for its twin (`cp -al`, a snapshot tool): the very lock is in it, so nothing is lost. From then on
/// it is the twin that has to be watched.
#[test]
fn p5_a_directory_swapped_for_its_twin() {
    for file_system in BOTH {
        let bench = bench!(file_system);
        let daemon = bench.start(&["--lock-poll-interval", "1h"]);
        let twin = bench.beside("twin");
        link_all(&bench.state(), &twin);
        rustix::fs::renameat_with(CWD, bench.state(), CWD, &twin, RenameFlags::EXCHANGE).unwrap();
        assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
        assert!(daemon.log.events("suspect").is_empty() && daemon.log.events("displaced").is_empty());
        // Without a poll worth the name, only a watch on the twin can tell.
        fs::rename(bench.state(), bench.beside("moved")).unwrap();
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    }
}

/// What the owner restores has to be where clients look: in the twin, and not in the directory that it opened once.
#[test]
fn p11_a_record_is_restored_in_the_twin_of_its_directory() {
    let bench = bench!();
    let daemon = bench.start(&["--lock-poll-interval", "100ms"]);
    let twin = bench.beside("twin");
    link_all(&bench.state(), &twin);
    rustix::fs::renameat_with(CWD, bench.state(), CWD, &twin, RenameFlags::EXCHANGE).unwrap();
    daemon.three_looks();
    fs::remove_file(bench.file("daemon.json")).unwrap();
    until("the record is restored, or the daemon gone", PROMPT, || {
        (bench.file("daemon.json").exists() || !daemon.process.is_alive()).then_some(())
    });
    let url = bench.aileron(&["url"]).succeed().stdout;
    bench.only(&bench.daemon());
    assert_eq!(url.trim(), bench.daemon().url());
}

/// An ancestor moved away and back (a mount helper, an encrypted home) is a glitch and no loss, at every level. The watches
/// hold afterwards: the same move for good is noticed without any poll.
///
/// The test has to be back within 100 ms, which a busy machine may not let it: once in ten rounds is enough.
#[test]
fn p2_an_ancestor_that_is_back_in_time_was_never_gone() {
    for (file_system, level) in [(FileSystem::Disk, 1), (FileSystem::Memory, 2), (FileSystem::Disk, 3)] {
        let came_back = (0..10).any(|_| {
            let bench = bench!(file_system);
            let daemon = bench.start(&["--lock-poll-interval", "1h"]);
            let state = bench.state();
            let ancestor = state.ancestors().nth(level).unwrap();
            let away = ancestor.with_extension("away");
            fs::rename(ancestor, &away).unwrap();
            daemon.log.wait_for("suspect", PROMPT);
            fs::rename(&away, ancestor).unwrap();
            let again = until("it is decided", PROMPT, || {
                let again = !daemon.log.events("owner_again").is_empty();
                (again || !daemon.process.is_alive()).then_some(again)
            });
            if again {
                assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
                fs::rename(ancestor, &away).unwrap();
                assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
                fs::rename(&away, ancestor).unwrap();
            }
            again
        });
        assert!(came_back, "ten times of ten it took a moment's absence for a loss");
    }
}

/// An ancestor whose permissions change, a sibling that comes and goes, the state directory's own mode: nothing is lost.
#[test]
fn p5_what_happens_around_the_path_is_no_displacement() {
    let bench = bench!();
    let daemon = bench.start(&["--lock-poll-interval", "100ms"]);
    set_mode(bench.home(), 0o700);
    fs::create_dir(bench.beside("sibling")).unwrap();
    fs::rename(bench.beside("sibling"), bench.beside("renamed")).unwrap();
    fs::remove_dir(bench.beside("renamed")).unwrap();
    set_mode(&bench.state(), 0o500);
    daemon.three_looks();
    set_mode(&bench.state(), 0o700);
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
    assert!(daemon.log.events("suspect").is_empty());
    assert_eq!(daemon.view()["watcher"]["mode"], "events");
}
