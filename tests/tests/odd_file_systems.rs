//! Failures 18 and 21: file systems that have no locks, lie about them, keep their changes to themselves, or are not there at
//! all. A typed error or a daemon that polls; never two daemons, never a false end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use aileron_tests::{
    Bench, Call, Daemon, End, Mount, PROMPT, Process, bench, in_own_mounts, set_mode, until,
};

/// Such a call of the product.
fn faulty(bench: &Bench, fault: &str, args: &[&str]) -> Call {
    bench.faulty(&[fault], bench.programs().aileron).args(args)
}

/// Nothing runs, nothing is held, and without the fault the next client succeeds.
fn nothing_is_left(bench: &Bench) {
    assert!(bench.daemons().is_empty());
    drop(aileron_tests::lock_file(&bench.file("daemon.lock")));
    assert!(!bench.file("daemon.json").exists());
    bench.start(&[]);
}

/// The lock goes from the path, and the daemon ends because of it.
fn ends_when_gone(daemon: &Daemon, lock: PathBuf) {
    fs::remove_file(lock).unwrap();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
}

const NO_LOCKS: [&str; 3] = ["flock=ENOLCK", "flock=EOPNOTSUPP", "flock=ENOSYS"];

/// beads#3613: an NFS mount without its lock server. "Already running" would send the user looking for a daemon that is not
/// there.
#[test]
fn p5_no_locks_in_the_foreground() {
    for fault in NO_LOCKS {
        let bench = bench!();
        let outcome = faulty(&bench, fault, &["daemon", "run"]).fail(1);
        assert!(outcome.stderr.contains("has no locks"), "{fault}: {outcome:?}");
        assert!(outcome.stderr.contains("daemon.lock"), "{fault}: {outcome:?}");
        let outcome = faulty(&bench, fault, &["--json", "daemon", "run"]).fail(1);
        assert_eq!(outcome.error()["kind"], "lock", "{outcome:?}");
        nothing_is_left(&bench);
    }
}

/// The same through a client, whether it has met the directory before or not.
#[test]
fn p5_no_locks_through_a_client() {
    for fault in NO_LOCKS {
        for args in [&["url"][..], &["daemon", "start"]] {
            let bench = bench!();
            for lock_exists in [false, true] {
                if lock_exists {
                    fs::write(bench.file("daemon.lock"), "").unwrap();
                    set_mode(&bench.file("daemon.lock"), 0o600);
                }
                let outcome = faulty(&bench, fault, args).fail(1);
                assert!(outcome.stderr.contains("has no locks"), "{fault} {args:?}: {outcome:?}");
                assert!(!outcome.stderr.contains("running"), "{fault} {args:?}: {outcome:?}");
            }
            nothing_is_left(&bench);
        }
    }
}

/// for-mac#7004: a shared folder that grants every lock to everybody. However many start, each finds out, and none serves.
#[test]
fn p1_locks_that_are_not_enforced() {
    let bench = bench!();
    let all: Vec<_> = (0..4).map(|_| faulty(&bench, "flock=0", &["daemon", "run"]).start()).collect();
    for running in all {
        let outcome = running.finish(PROMPT);
        assert_eq!(outcome.end, End::Status(1), "{outcome:?}");
        assert!(outcome.stderr.contains("does not enforce locks"), "{outcome:?}");
    }
    for args in [&["url"][..], &["daemon", "start"]] {
        let outcome = faulty(&bench, "flock=0", args).fail(1);
        assert!(outcome.stderr.contains("does not enforce locks"), "{args:?}: {outcome:?}");
    }
    nothing_is_left(&bench);
}

/// And beside a daemon whose lock is real: it is found and left alone, and no second one serves.
#[test]
fn p1_a_lie_about_locks_makes_no_second_daemon() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    assert_eq!(faulty(&bench, "flock=0", &["url"]).succeed().stdout.trim(), daemon.url());
    let outcome = faulty(&bench, "flock=0", &["daemon", "run"]).fail(1);
    assert!(outcome.stderr.contains("does not enforce locks"), "{outcome:?}");
    for fault in NO_LOCKS {
        assert_eq!(faulty(&bench, fault, &["url"]).succeed().stdout.trim(), daemon.url());
        faulty(&bench, fault, &["daemon", "run"]).fail(1);
    }
    bench.only(&daemon);
    assert_eq!(bench.record(), daemon.record);
}

/// What a file system cannot do that nobody needs of it: `statfs` to know its kind, `fsync` to make files last.
#[test]
fn p5_failing_calls_that_decide_nothing() {
    for fault in ["statfs=EIO", "statfs=ENOSYS", "fsync=EIO", "fdatasync=EIO"] {
        let bench = bench!();
        let daemon = bench.ready(&faulty(&bench, fault, &["daemon", "run"]).start());
        assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url(), "{fault}");
        // One whose kind cannot be told may be a file system whose events cannot be relied on.
        let poll_only = daemon.view()["watcher"]["mode"] == "poll";
        assert_eq!(poll_only, fault.starts_with("statfs"), "{fault}");
        ends_when_gone(&daemon, bench.file("daemon.lock"));
        faulty(&bench, fault, &["url"]).succeed();
        bench.aileron(&["stop"]).succeed();
    }
}

/// A home on a file system in user space, which others change without an event here: `bindfs(1)` shows `under` at the home.
struct InUserSpace {
    bench: Bench,
    server: Arc<Process>,
    mount: Option<Mount>,
    daemon: Daemon,
}

impl InUserSpace {
    fn start(options: &[&str]) -> Self {
        let bench = bench!();
        let under = bench.root().join("under");
        fs::create_dir(&under).unwrap();
        set_mode(&under, 0o700);
        let server = "/usr/bin/bindfs";
        assert!(fs::exists(server).unwrap(), "this test needs bindfs: apt-get install bindfs");
        let running = bench.call(server).arg("-f").arg(&under).arg(bench.home()).start();
        until("bindfs has mounted, which takes root and /dev/fuse", PROMPT, || {
            // FUSE_SUPER_MAGIC of statfs(2).
            let mounted = rustix::fs::statfs(bench.home()).unwrap().f_type == 0x6573_5546;
            assert!(mounted || running.process.is_alive(), "bindfs ended: root and /dev/fuse are needed");
            mounted.then_some(())
        });
        let mount = Some(Mount::of(bench.home()));
        let daemon = bench.run(options);
        Self { bench, server: running.process, mount, daemon }
    }

    /// A name in the state directory, by the path that nobody here watches.
    fn under(&self, name: &str) -> PathBuf {
        self.bench.root().join("under/.aileron").join(name)
    }
}

impl Drop for InUserSpace {
    fn drop(&mut self) {
        // Before what is below it is removed, and after its users.
        self.daemon.process.kill();
        drop(self.mount.take());
    }
}

/// vscode-remote-release#91: events come only for what is done through this mount. The daemon polls and says why; what is done
/// behind its back is found by the poll: the lock deleted, replaced, or moved away, and the whole directory deleted.
#[test]
fn p2_a_loss_behind_a_file_system_in_user_space() {
    let losses: [fn(&InUserSpace); 4] = [
        |home| fs::remove_file(home.under("daemon.lock")).unwrap(),
        |home| {
            fs::write(home.under("fresh"), "").unwrap();
            fs::rename(home.under("fresh"), home.under("daemon.lock")).unwrap();
        },
        |home| fs::rename(home.under("daemon.lock"), home.under("aside")).unwrap(),
        |home| fs::remove_dir_all(home.under("")).unwrap(),
    ];
    for (number, lose) in losses.into_iter().enumerate() {
        in_own_mounts(|| {
            let home = InUserSpace::start(&[]);
            assert!(
                home.daemon.log.wait_for("watching", PROMPT)["missing"].as_str().unwrap().contains("FUSE")
            );
            let watcher = home.daemon.view()["watcher"].take();
            assert_eq!(watcher["mode"], "poll");
            assert_eq!(watcher["interval_ms"], 1000);
            assert!(watcher["missing"][0].as_str().unwrap().contains("FUSE"), "{watcher}");
            assert_eq!(home.bench.aileron(&["url"]).succeed().stdout.trim(), home.daemon.url());
            home.bench.aileron(&["daemon", "run"]).fail(7);
            lose(&home);
            assert!(home.daemon.process.ends_within(PROMPT), "loss {number} was not found");
            let new = home.bench.start(&[]);
            home.bench.only(&new);
            new.process.kill();
        });
    }
}

/// The file system's server dies, and every look fails with `ENOTCONN`: that proves nothing, and the daemon stays. Unmounted,
/// there is nothing at the path, and that does.
#[test]
fn p5_a_file_system_whose_server_died_proves_nothing() {
    in_own_mounts(|| {
        let mut home = InUserSpace::start(&["--lock-poll-interval", "100ms"]);
        home.server.kill();
        home.server.wait(PROMPT);
        until("nothing can be looked at, nor remembered", PROMPT, || {
            fs::metadata(home.bench.file("daemon.lock")).is_err().then_some(())
        });
        home.daemon.three_looks();
        assert_eq!(home.daemon.handshake().unwrap().status, 200);
        home.mount.take().unwrap().detach();
        assert_eq!(home.daemon.process.wait(PROMPT), End::Status(0));
    });
}

/// A call in a mount namespace of its own with nothing in `/proc`.
fn without_proc(bench: &Bench, args: &[&str]) -> Call {
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    let call = bench.call("/usr/bin/unshare").args(["--mount", "/bin/sh", "-c", script, "sh"]);
    call.arg(bench.programs().aileron).args(args)
}

/// A sandbox without `/proc`: the lock cannot be watched through its descriptor, nor can the mounts. The daemon polls, says
/// so, is found like any other, and is the only one.
#[test]
fn p2_without_proc() {
    let bench = bench!();
    let daemon = bench.ready(&without_proc(&bench, &["daemon", "run"]).start());
    let said = daemon.log.wait_for("watching", PROMPT);
    let missing = said["missing"].as_str().unwrap();
    assert!(missing.contains("mounts") && missing.contains("the held lock"), "{said}");
    assert_eq!(daemon.view()["watcher"]["mode"], "poll");
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
    bench.aileron(&["daemon", "run"]).fail(7);
    without_proc(&bench, &["daemon", "run"]).fail(7);
    daemon.three_looks();
    bench.only(&daemon);
    fs::rename(bench.home(), bench.root().join("moved")).unwrap();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
}

/// turborepo#11164, rbw#160: the client is the one in the sandbox. What runs and is reachable is found.
#[test]
fn p11_a_client_without_proc_finds_the_daemon() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    for args in [&["url"][..], &["daemon", "start"], &["daemon", "status"]] {
        let outcome = without_proc(&bench, args).succeed();
        assert!(outcome.stdout.contains(&daemon.url()), "{args:?}: {outcome:?}");
    }
    bench.only(&daemon);
}
