//! P1, P2 and failure 1: two live daemons, one of them invisible.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aileron_tests::{Bench, Daemon, End, FileSystem, bench, until};
use rustix::fs::{CWD, FileType, Mode, RenameFlags};

/// The keeper looks 10 ms after an event, 100 ms later once more where a link remains, and nothing is in flight.
const WITH_EVENTS: Duration = Duration::from_secs(2);

/// The same after one poll interval more: 100 ms here, where the default would be 1 s.
const WITHOUT_EVENTS: Duration = Duration::from_secs(3);

const POLL_ONLY: [&str; 3] = ["--no-lock-events", "--lock-poll-interval", "100ms"];

/// What becomes of the lock's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// A client can start a successor.
    Free,
    /// Something stands there that only a person may remove.
    Blocked,
}

/// A serves; the lock goes from its path; A has noticed and is gone, without a word from anybody. Then a client has a
/// successor, and it is the only daemon there is.
fn displaced_by(
    fault: fn(&Bench),
    after: After,
    file_system: FileSystem,
    options: &[&str],
    patience: Duration,
) {
    let bench = bench!(file_system);
    let old = bench.start(options);
    fault(&bench);
    assert_eq!(old.process.wait(patience), End::Status(0));
    let said = old.log.wait_for("displaced", patience);
    assert!(said["held"].as_str().is_some_and(|held| held.ends_with(&format!(":{}", old.lock))), "{said}");
    assert_eq!(old.log.wait_for("ended", patience)["reason"], "displaced");
    succeeded(&bench, &old, after, options);
}

fn succeeded(bench: &Bench, old: &Daemon, after: After, options: &[&str]) {
    if after == After::Blocked {
        let outcome = bench.aileron(&["url"]).fail(1);
        assert!(outcome.stderr.contains("daemon.lock"), "{outcome:?}");
        return assert!(bench.daemons().is_empty());
    }
    let new = bench.start(options);
    assert_ne!((new.process.pid(), &new.instance), (old.process.pid(), &old.instance));
    assert_eq!(new.handshake().expect("the successor answers").status, 200);
    bench.only(&new);
}

macro_rules! faults {
    ($($(#[$story:meta])* $name:ident($after:ident): $fault:expr;)*) => { $(
        $(#[$story])*
        mod $name {
            use super::*;

            #[test]
            fn p2_noticed_with_events_on_disk() {
                displaced_by($fault, After::$after, FileSystem::Disk, &[], WITH_EVENTS);
            }

            #[test]
            fn p2_noticed_with_events_on_tmpfs() {
                displaced_by($fault, After::$after, FileSystem::Memory, &[], WITH_EVENTS);
            }

            #[test]
            fn p2_noticed_without_events_on_disk() {
                displaced_by($fault, After::$after, FileSystem::Disk, &POLL_ONLY, WITHOUT_EVENTS);
            }

            #[test]
            fn p2_noticed_without_events_on_tmpfs() {
                displaced_by($fault, After::$after, FileSystem::Memory, &POLL_ONLY, WITHOUT_EVENTS);
            }
        }
    )* };
}

/// Puts over the lock, in one step, what `make` puts beside it.
fn put_over_the_lock(bench: &Bench, make: impl FnOnce(&Path)) {
    make(&bench.file("fresh"));
    fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap();
}

/// As `mknod(1)`; a device takes root.
fn make_node(path: &Path, kind: FileType) {
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, null)
        .unwrap_or_else(|error| panic!("mknod {}: {error}; this test must be run as root", path.display()));
}

/// Both names change in one step: there is no moment at which nothing stands at either.
fn exchange(one: &Path, other: &Path) {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// Another private directory beside the state.
fn another_directory(bench: &Bench) -> PathBuf {
    let other = bench.beside("other");
    fs::create_dir(&other).unwrap();
    aileron_tests::set_mode(&other, 0o700);
    other
}

faults! {
    /// beads#1515, uxc#459: `rm -rf` of the directory under a live daemon; three daemons were seen that way.
    directory_deleted(Free): |bench| fs::remove_dir_all(bench.state()).unwrap();
    /// moflo#1150: the lock file alone is deleted, and a second `flock` on the new one is granted.
    lock_deleted(Free): |bench| fs::remove_file(bench.file("daemon.lock")).unwrap();
    /// The lock is renamed: the held inode keeps its link, so absence takes a second look.
    lock_renamed(Free): |bench| fs::rename(bench.file("daemon.lock"), bench.file("aside")).unwrap();
    /// `sed -i` or `tar -x` over the directory: the same name, another inode.
    lock_replaced_by_a_file(Free): |bench| put_over_the_lock(bench, |path| fs::write(path, "").unwrap());
    /// `cp -al` or a deduplicating backup: the name is now a link to a file that is somebody else's too.
    lock_replaced_by_a_link_of_another_file(Free): |bench| {
        fs::write(bench.beside("original"), "").unwrap();
        put_over_the_lock(bench, |path| fs::hard_link(bench.beside("original"), path).unwrap());
    };
    /// The held inode keeps a link elsewhere, and another file stands at the path: that is proof enough.
    lock_replaced_while_linked_elsewhere(Free): |bench| {
        fs::hard_link(bench.file("daemon.lock"), bench.file("link")).unwrap();
        put_over_the_lock(bench, |path| fs::write(path, "").unwrap());
    };
    /// A directory where the lock was.
    lock_replaced_by_a_directory(Blocked): |bench| {
        fs::remove_file(bench.file("daemon.lock")).unwrap();
        fs::create_dir(bench.file("daemon.lock")).unwrap();
    };
    /// A symlink to the very file that is held: the last component is not followed.
    lock_replaced_by_a_symlink_to_itself(Blocked): |bench| {
        fs::rename(bench.file("daemon.lock"), bench.file("aside")).unwrap();
        symlink("aside", bench.file("daemon.lock")).unwrap();
    };
    /// A FIFO, whose opening would block whoever asks about the lock.
    lock_replaced_by_a_fifo(Blocked): |bench| {
        put_over_the_lock(bench, |path| make_node(path, FileType::Fifo));
    };
    /// A socket, which nobody can open.
    lock_replaced_by_a_socket(Blocked): |bench| {
        put_over_the_lock(bench, |path| make_node(path, FileType::Socket));
    };
    /// `/dev/null`, which would grant any lock to anybody.
    lock_replaced_by_a_device(Blocked): |bench| {
        put_over_the_lock(bench, |path| make_node(path, FileType::CharacterDevice));
    };
    /// The directory is moved away with everything in it.
    directory_renamed(Free): |bench| fs::rename(bench.state(), bench.beside("moved")).unwrap();
    /// The directory is replaced by an empty one.
    directory_replaced(Free): |bench| {
        fs::rename(bench.state(), bench.beside("moved")).unwrap();
        bench.make_state();
    };
    /// A deployment that swaps two directories in one step (`renameat2(2)`): the path is never empty.
    directory_swapped(Free): |bench| exchange(&bench.state(), &another_directory(bench));
    /// The same, with a directory that has a lock of its own, as a restored backup has.
    directory_swapped_with_another_state(Free): |bench| {
        let other = another_directory(bench);
        fs::write(other.join("daemon.lock"), "").unwrap();
        exchange(&bench.state(), &other);
    };
    /// The parent is moved: `inotify(7)` tells of nothing on the file or its directory.
    parent_renamed(Free): |bench| {
        fs::rename(bench.home(), bench.home().with_file_name("moved")).unwrap();
        fs::create_dir_all(bench.home()).unwrap();
    };
    /// A grandparent is moved.
    grandparent_renamed(Free): |bench| {
        let users = bench.home().parent().unwrap();
        fs::rename(users, users.with_file_name("moved")).unwrap();
        fs::create_dir_all(bench.home()).unwrap();
    };
    /// And the one above it, the highest that is this test's to move.
    great_grandparent_renamed(Free): |bench| {
        let away = bench.root().with_extension("moved");
        fs::rename(bench.root(), &away).unwrap();
        fs::create_dir_all(bench.home()).unwrap();
        // Goes with the rest of this test's files.
        fs::rename(&away, bench.root().join("moved")).unwrap();
    };
    /// A grandparent is swapped in one step with a tree that has a state of its own at the same place.
    grandparent_swapped(Free): |bench| {
        let users = bench.home().parent().unwrap();
        let other = users.with_file_name("other");
        fs::create_dir_all(other.join("home/.aileron")).unwrap();
        aileron_tests::set_mode(&other.join("home/.aileron"), 0o700);
        fs::write(other.join("home/.aileron/daemon.lock"), "").unwrap();
        exchange(users, &other);
    };
}

/// The shape in which it was seen in the field: A, `rm -rf`, a client starts B, `rm -rf`, a client starts C. Only C lives.
#[test]
fn p1_three_generations_leave_one_daemon() {
    let bench = bench!();
    let first = bench.start(&[]);
    fs::remove_dir_all(bench.state()).unwrap();
    let second = bench.start(&[]);
    fs::remove_dir_all(bench.state()).unwrap();
    let third = bench.start(&[]);
    for old in [&first, &second] {
        assert_eq!(old.process.wait(WITH_EVENTS), End::Status(0));
        assert!(old.log.wait_for("displaced", WITH_EVENTS)["at_path"].is_string());
    }
    bench.only(&third);
}

/// A tool that moves a file away and back (`mv`, an editor, a backup) is a glitch and no loss: where a link remains, absence
/// takes a second look 100 ms later, and the daemon says that it is the owner again.
///
/// The test has to be back within those 100 ms, which a busy machine may not let it: once in ten rounds is enough.
#[test]
fn p2_a_lock_that_is_back_in_time_was_never_lost() {
    let came_back = (0..10).any(|_| {
        let bench = bench!();
        let daemon = bench.start(&[]);
        let (lock, aside) = (bench.file("daemon.lock"), bench.file("aside"));
        fs::rename(&lock, &aside).unwrap();
        daemon.log.wait_for("suspect", WITH_EVENTS);
        fs::rename(&aside, &lock).unwrap();
        let decided = || {
            let again = !daemon.log.events("owner_again").is_empty();
            (again || !daemon.process.is_alive()).then_some(again)
        };
        let again = until("it is decided", WITH_EVENTS, decided);
        if again {
            assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
        }
        again
    });
    assert!(came_back, "ten times of ten it took a moment's absence for a loss");
}

/// Failure 22: a test's temporary directory is deleted, and the daemon in it must not outlive it, nor bring anything back.
#[test]
fn p4_a_deleted_directory_stays_deleted() {
    for options in [&[][..], &POLL_ONLY] {
        let bench = bench!();
        let daemon = bench.start(options);
        fs::remove_dir_all(bench.state()).unwrap();
        assert_eq!(daemon.process.wait(WITHOUT_EVENTS), End::Status(0));
        assert!(fs::read_dir(bench.home()).unwrap().next().is_none(), "nothing was made again");
    }
}

/// Failure 16, the other side: what leaves the identity alone ends nobody.
#[test]
fn p5_touching_the_lock_is_no_displacement() {
    for options in [&["--lock-poll-interval", "100ms"][..], &POLL_ONLY] {
        let bench = bench!();
        let daemon = bench.start(options);
        let lock = bench.file("daemon.lock");
        fs::write(&lock, "somebody's notes").unwrap();
        fs::hard_link(&lock, bench.file("link")).unwrap();
        aileron_tests::set_mode(&lock, 0o400);
        fs::File::open(&lock).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        daemon.three_looks();
        assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
        assert!(daemon.log.events("suspect").is_empty());
    }
}
