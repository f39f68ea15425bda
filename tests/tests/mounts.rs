//! P2 and P5: mounts come and go over the path, and inotify tells of none of it. Each test has a mount namespace of its own,
//! and so has whatever it starts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use aileron_tests::{
    Bench, Daemon, End, Mount, PROMPT, Snapshot, Tree, bench, in_own_mounts, set_mode, until,
};

/// Only events can tell in time.
const EVENTS_ONLY: [&str; 2] = ["--lock-poll-interval", "1h"];

const POLL_ONLY: [&str; 3] = ["--no-lock-events", "--lock-poll-interval", "100ms"];

/// The daemon is gone, and says why.
fn displaced(daemon: &Daemon) {
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
}

/// A daemon is displaced by what is mounted, with events and without; a client has a successor there, which is the only one.
/// And when that mount is gone the successor goes, for its lock is not at the path.
fn displaced_by(mount: fn(&Bench) -> Mount) {
    for options in [&EVENTS_ONLY[..], &POLL_ONLY] {
        in_own_mounts(|| {
            let bench = bench!();
            let old = bench.start(options);
            let mount = mount(&bench);
            displaced(&old);
            let new = bench.start(options);
            assert_ne!(new.instance, old.instance);
            bench.only(&new);
            mount.detach();
            displaced(&new);
            // What the first one left is a stale record, and the lock is free.
            let third = bench.start(&[]);
            bench.only(&third);
        });
    }
}

/// A tmpfs over the state directory, as a sandbox or a container's entry script puts it.
#[test]
fn p2_a_tmpfs_over_the_directory() {
    displaced_by(|bench| Mount::tmpfs(&bench.state(), ""));
}

/// Another directory, private and empty.
#[test]
fn p2_a_bind_mount_over_the_directory() {
    displaced_by(|bench| {
        let other = bench.beside("other");
        fs::create_dir(&other).unwrap();
        set_mode(&other, 0o700);
        Mount::bind(&other, &bench.state())
    });
}

/// Another directory that has a lock of its own: proof at once.
#[test]
fn p2_a_bind_mount_of_another_state_over_the_directory() {
    displaced_by(|bench| {
        let other = bench.beside("other");
        fs::create_dir(&other).unwrap();
        set_mode(&other, 0o700);
        fs::write(other.join("daemon.lock"), "").unwrap();
        Mount::bind(&other, &bench.state())
    });
}

/// A home that is mounted late, over the one in which the daemon was started.
#[test]
fn p2_a_tmpfs_over_an_ancestor() {
    displaced_by(|bench| Mount::tmpfs(bench.home(), ""));
    displaced_by(|bench| {
        let mount = Mount::tmpfs(bench.home().parent().unwrap(), "");
        fs::create_dir_all(bench.home()).unwrap();
        mount
    });
}

/// A file over the lock itself.
#[test]
fn p2_a_bind_mount_over_the_lock() {
    displaced_by(|bench| {
        fs::write(bench.beside("file"), "").unwrap();
        set_mode(&bench.beside("file"), 0o600);
        Mount::bind(&bench.beside("file"), &bench.file("daemon.lock"))
    });
}

/// The directory over itself, or an ancestor (a container's volume): the lock at the path is the one that is held, so nothing
/// is lost, and what is watched is the path as it is now.
#[test]
fn p5_a_bind_mount_over_itself() {
    let over: [fn(&Bench) -> Mount; 3] = [
        |bench| Mount::bind(&bench.state(), &bench.state()),
        |bench| Mount::bind(bench.home(), bench.home()),
        |bench| Mount::bind(&bench.file("daemon.lock"), &bench.file("daemon.lock")),
    ];
    for put in over {
        in_own_mounts(|| {
            let bench = bench!();
            let daemon = bench.start(&EVENTS_ONLY);
            let mount = put(&bench);
            assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
            assert_eq!(daemon.view()["watcher"]["mode"], "events");
            mount.detach();
            assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
            assert!(daemon.log.events("suspect").is_empty() && daemon.log.events("displaced").is_empty());
            fs::remove_file(bench.file("daemon.lock")).unwrap();
            displaced(&daemon);
        });
    }
}

/// Something mounted and unmounted again at once is a glitch. The test has to be back within 100 ms: once in ten rounds is
/// enough.
#[test]
fn p2_a_mount_that_is_gone_in_time_was_no_loss() {
    in_own_mounts(|| {
        let came_back = (0..10).any(|_| {
            let bench = bench!();
            let daemon = bench.start(&EVENTS_ONLY);
            let mount = Mount::tmpfs(&bench.state(), "");
            daemon.log.wait_for("suspect", PROMPT);
            mount.detach();
            let again = until("it is decided", PROMPT, || {
                let again = !daemon.log.events("owner_again").is_empty();
                (again || !daemon.process.is_alive()).then_some(again)
            });
            if again {
                assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
                fs::remove_file(bench.file("daemon.lock")).unwrap();
                displaced(&daemon);
            }
            again
        });
        assert!(came_back, "ten times of ten it took a moment's mount for a loss");
    });
}

/// Once it was decided it stays decided, though the held lock stands at the path again: nothing there is touched.
#[test]
fn p2_a_mount_that_is_gone_too_late() {
    in_own_mounts(|| {
        let bench = bench!();
        let daemon = bench.service(&[]);
        let before = Snapshot::of(&bench.state());
        let asked = aileron_tests::http::send(daemon.address, &daemon.request("GET", "/hang/300")).unwrap();
        until("it is in flight", PROMPT, || (daemon.view()["in_flight"].as_u64()? > 0).then_some(()));
        let mount = Mount::tmpfs(&bench.state(), "");
        daemon.log.wait_for("displaced", PROMPT);
        mount.detach();
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
        drop(asked);
        assert_eq!(Snapshot::of(&bench.state()), before);
        assert!(daemon.log.events("owner_again").is_empty());
        assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
    });
}

/// `umount -l` of the file system that the daemon lives on: it is gone from the path and lives on only for the daemon.
#[test]
fn p2_a_file_system_lazily_unmounted() {
    for options in [&EVENTS_ONLY[..], &POLL_ONLY] {
        in_own_mounts(|| {
            let bench = bench!();
            let mount = Mount::tmpfs(bench.home(), "");
            let daemon = bench.start(options);
            mount.detach();
            displaced(&daemon);
            assert!(fs::read_dir(bench.home()).unwrap().next().is_none(), "nothing was made there");
        });
    }
}

/// Made read-only for everybody while a daemon lives on it: the kernel refuses (`mount(2)`, `EBUSY`), for the daemon has its
/// lock and its log open for writing. So clients get a read-only view of a live daemon by another mount; they find it, it
/// serves, and its record is restored through the directory that it holds.
#[test]
fn p5_a_read_only_mount_over_a_live_daemon() {
    in_own_mounts(|| {
        let bench = bench!();
        bench.make_state();
        let below = Mount::bind(&bench.state(), &bench.state());
        let daemon = bench.start(&["--lock-poll-interval", "100ms"]);
        assert_eq!(below.read_only(), Err(rustix::io::Errno::BUSY));
        let above = Mount::bind(&bench.state(), &bench.state());
        above.read_only().unwrap();
        assert_eq!(
            fs::write(bench.file("any"), "").unwrap_err().kind(),
            std::io::ErrorKind::ReadOnlyFilesystem
        );
        daemon.three_looks();
        for args in [&["url"][..], &["daemon", "start"], &["daemon", "status"]] {
            let outcome = bench.aileron(args).succeed();
            assert!(outcome.stdout.contains(&daemon.url()), "{args:?}: {outcome:?}");
        }
        assert!(daemon.log.events("suspect").is_empty());
        above.detach();
        fs::remove_file(bench.file("daemon.json")).unwrap();
        until("the record is restored", PROMPT, || bench.file("daemon.json").exists().then_some(()));
        bench.aileron(&["stop"]).succeed();
    });
}

/// A full file system under a live daemon: its record is damaged and cannot be restored. It stays and serves, status and log
/// say what is wrong, and as soon as there is room the record is there again.
#[test]
fn p5_a_record_that_cannot_be_restored_is_said() {
    in_own_mounts(|| {
        let bench = bench!();
        let _full = Mount::tmpfs(bench.home(), ",nr_inodes=64");
        let daemon = bench.start(&["--lock-poll-interval", "100ms"]);
        let wrote = fs::read(bench.file("daemon.json")).unwrap();
        fs::rename(bench.file("daemon.json"), bench.beside("aside")).unwrap();
        let fillers = fill(bench.home());
        let fault = daemon.log.wait_for("record_fault", PROMPT);
        assert!(fault["fault"].as_str().unwrap().contains("No space left"), "{fault}");
        daemon.three_looks();
        assert!(daemon.view()["record_fault"].as_str().unwrap().contains("No space left"));
        assert!(daemon.log.events("suspect").is_empty());
        for filler in &fillers {
            fs::remove_file(filler).unwrap();
        }
        until("the record is restored", PROMPT, || {
            (fs::read(bench.file("daemon.json")).ok()? == wrote).then_some(())
        });
        assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
        assert!(daemon.view()["record_fault"].is_null());
        daemon.process.kill();
        daemon.process.wait(PROMPT);
    });
}

/// Files in `directory` until no more can be made.
fn fill(directory: &Path) -> Vec<std::path::PathBuf> {
    let name = |number| directory.join(format!("filler-{number}"));
    (0..1000).map(name).take_while(|path| fs::File::create(path).is_ok()).collect()
}

/// turborepo#11164: a state directory that cannot be written. A typed error that names the path, and nothing made.
#[test]
fn p5_a_start_on_a_read_only_mount() {
    let prepare: [fn(&Bench); 3] = [
        |_| {},
        |bench| bench.make_state(),
        |bench| {
            bench.start(&[]);
            bench.aileron(&["stop"]).succeed();
        },
    ];
    for (number, prepare) in prepare.into_iter().enumerate() {
        in_own_mounts(|| {
            let bench = bench!();
            prepare(&bench);
            let mount = Mount::bind(bench.home(), bench.home());
            mount.read_only().unwrap();
            let before = Tree::of(bench.home());
            for args in [&["daemon", "run"][..], &["url"], &["daemon", "start"]] {
                let outcome = bench.aileron(args).fail(1);
                assert!(outcome.stderr.contains("Read-only file system"), "{number} {args:?}: {outcome:?}");
                assert!(outcome.stderr.contains(bench.state().to_str().unwrap()), "{args:?}: {outcome:?}");
                let document = bench.aileron(&[&["--json"], args].concat()).fail(1).error();
                assert!(document["path"].as_str().unwrap().starts_with(bench.state().to_str().unwrap()));
            }
            bench.aileron(&["daemon", "status"]).fail(3);
            bench.aileron(&["stop"]).succeed();
            assert!(bench.daemons().is_empty());
            assert_eq!(Tree::of(bench.home()), before, "nothing was made, nothing changed");
        });
    }
}

/// A user without any privilege watches mounts too.
#[test]
fn p2_a_mount_over_the_home_of_an_unprivileged_user() {
    in_own_mounts(|| {
        let bench = bench!();
        chown(bench.home(), Some(65534), Some(65534)).expect("this test must be run as root");
        let call = bench.aileron(&["daemon", "run"]).args(EVENTS_ONLY).user(65534);
        let daemon = bench.ready(&call.start());
        // One that the user cannot look into would prove nothing.
        let _mount = Mount::tmpfs(bench.home(), ",mode=0755");
        displaced(&daemon);
    });
}
