//! Failures 1, 12 and 22: two daemons, one of them invisible; and what `ps` shows of both.

use aileron_tests::{PROMPT, Process, bench};

use crate::scene::Scene;

/// One that polls so rarely that it notices nothing for the length of a test.
const BLIND: &str = "aileron daemon start --no-lock-events --lock-poll-interval 24h";

#[test]
fn a_directory_that_was_deleted_under_a_daemon() {
    let bench = bench!();
    let mut scene = Scene::of_lone_user(&bench);
    scene.tell("a daemon that polls once a day, and an rm");
    scene.types(BLIND).is(0);
    let orphan = bench.daemon();
    scene.types("rm -rf ~/.aileron").is(0);
    scene.types("aileron url").is(0);
    let owner = bench.daemon();
    scene.types("aileron daemon ps").is(0);
    scene.types("aileron --json daemon ps | tr , '\\n' | grep -c '\"state\"'").is(0);
    scene.doctor(&["orphans"]);
    scene.types("aileron stop").is(0);
    assert!(orphan.process.is_alive() && !owner.process.is_alive());
    scene.tell("its advice");
    scene.types("aileron daemon ps --reap").is(0);
    assert!(!orphan.process.is_alive());
    scene.types("aileron daemon ps").is(0);
    scene.is_well();
    scene.keep("orphan_of_a_deleted_directory");
}

#[test]
fn a_directory_or_lock_that_was_moved_or_replaced() {
    let bench = bench!();
    let mut scene = Scene::of_lone_user(&bench);
    for (what, line) in [
        ("the lock is replaced", "cp ~/.aileron/daemon.lock ~/other && mv ~/other ~/.aileron/daemon.lock"),
        ("the directory is moved", "mv ~/.aileron ~/moved"),
    ] {
        scene.types(BLIND).is(0);
        let orphan = bench.daemon();
        scene.tell(what);
        scene.types(line).is(0);
        scene.types("aileron daemon ps").is(0);
        scene.types("aileron daemon ps --reap").is(0);
        orphan.process.wait(PROMPT);
    }
    scene.tell("a daemon that watches has left by itself");
    scene.types("aileron url").is(0);
    let daemon = bench.daemon();
    scene.types("rm -rf ~/.aileron").is(0);
    daemon.process.wait(PROMPT);
    scene.types("aileron daemon ps").is(0);
    scene.types("aileron daemon logs").is(3);
    scene.is_well();
    scene.keep("orphan_of_a_moved_directory");
}

/// A sandbox without a process table.
#[test]
fn a_process_table_that_tells_nothing() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let daemon = bench.start(&[]);
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    let without = |args: &[&str]| {
        let call = bench.call("/usr/bin/unshare").args(["--mount", "/bin/sh", "-c", script, "sh"]);
        call.arg(bench.programs().aileron).args(args)
    };
    scene.tell("there is no /proc");
    scene.sees("aileron url", without(&["url"])).is(0);
    scene.sees("aileron daemon ps", without(&["daemon", "ps"])).is(1);
    scene.sees("aileron --json daemon ps", without(&["--json", "daemon", "ps"])).is(1);
    daemon.process.freeze();
    scene.tell("and the daemon is stopped: nobody can be proved, so nobody is ended");
    scene.sees("aileron --timeout 1s url", without(&["--timeout", "1s", "url"])).is(4);
    scene.sees("aileron --timeout 1s stop --force", without(&["--timeout", "1s", "stop", "--force"])).is(4);
    daemon.process.thaw();
    assert!(Process::open(daemon.process.pid()).is_some_and(|process| process.is_alive()));
    scene.keep("process_table_that_tells_nothing");
}
