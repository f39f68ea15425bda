//! P5 and failure 16: the daemon that ended itself for nothing, because a `stat` failed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::os::unix::fs::{chown, symlink};
use std::time::Duration;

use aileron_tests::{Bench, Daemon, End, PROMPT, Signal, Snapshot, bench, set_mode, until};
use rustix::fs::{CWD, RenameFlags};

/// `nobody`, on most systems; any uid without privileges will do.
const NOBODY: u32 = 65534;

/// docker-postgresql#95: the parent loses its permissions for a while, and every look at the lock fails with `EACCES`. That
/// proves nothing: the daemon stays, and so does its fence. As root every `stat` succeeds, so it runs as another user.
#[test]
fn p5_a_look_that_fails_proves_nothing() {
    let bench = bench!();
    let daemon = of_nobody(&bench);
    set_mode(bench.home(), 0o000);
    let doubt = daemon.log.wait_for("doubt", PROMPT);
    assert!(doubt["error"].as_str().is_some_and(|error| error.contains("ermission")), "{doubt}");
    daemon.three_looks();
    assert_eq!(daemon.handshake().unwrap().status, 200, "the last answer stays in force for the fence too");
    assert_eq!(daemon.ask("POST", "/echo").unwrap().status, 200);
    assert_eq!(daemon.log.events("doubt").len(), 1, "it is said once");
    set_mode(bench.home(), 0o755);
    let found = bench.aileron(&["url"]).user(NOBODY).succeed();
    assert_eq!(found.stdout.trim(), daemon.url());
    assert!(daemon.log.events("suspect").is_empty() && daemon.log.events("displaced").is_empty());
}

/// A loss during the doubt is seen as soon as it can be. Where a link is left nobody can tell before.
#[test]
fn p5_a_loss_behind_a_closed_door_is_found_when_it_opens() {
    let bench = bench!();
    let daemon = of_nobody(&bench);
    set_mode(bench.home(), 0o000);
    daemon.log.wait_for("doubt", aileron_tests::PROMPT);
    // As root, to whom the door is open.
    std::fs::rename(bench.file("daemon.lock"), bench.file("aside")).unwrap();
    daemon.three_looks();
    assert!(daemon.process.is_alive());
    set_mode(bench.home(), 0o755);
    assert_eq!(daemon.process.wait(aileron_tests::PROMPT), aileron_tests::End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", aileron_tests::PROMPT)["reason"], "displaced");
}

/// A file without a link stands at no path, and the daemon that holds it need not look: the door may stay closed for ever, while
/// a successor serves those who may pass.
#[test]
fn p2_a_lock_without_a_link_is_lost_behind_a_closed_door_too() {
    let bench = bench!();
    let daemon = of_nobody(&bench);
    set_mode(bench.home(), 0o000);
    daemon.log.wait_for("doubt", aileron_tests::PROMPT);
    std::fs::remove_file(bench.file("daemon.lock")).unwrap();
    assert_eq!(daemon.process.wait(aileron_tests::PROMPT), aileron_tests::End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", aileron_tests::PROMPT)["reason"], "displaced");
    set_mode(bench.home(), 0o755);
}

/// An ancestor becomes a symlink to itself, by a slip in a script: `ELOOP` is no absence. The lock may stand where it stood;
/// once the path leads anywhere again, it is seen that it does, and everything is watched as before.
#[test]
fn p5_a_path_that_leads_in_circles_proves_nothing() {
    for options in [&[][..], &["--no-lock-events", "--lock-poll-interval", "100ms"]] {
        let bench = bench!();
        let daemon = bench.start(options);
        let aside = bench.root().join("aside");
        symlink(bench.home(), &aside).unwrap();
        let exchange =
            || rustix::fs::renameat_with(CWD, bench.home(), CWD, &aside, RenameFlags::EXCHANGE).unwrap();
        exchange();
        let doubt = daemon.log.wait_for("doubt", PROMPT);
        assert!(doubt["error"].as_str().unwrap().contains("symbolic links"), "{doubt}");
        daemon.three_looks();
        assert_eq!(daemon.handshake().unwrap().status, 200, "the last answer stays in force");
        exchange();
        if options.is_empty() {
            until("it is armed again", Duration::from_secs(30), || {
                (daemon.log.events("watching").pop()?["mode"] == "events").then_some(())
            });
        }
        assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
        assert!(daemon.log.events("suspect").is_empty() && daemon.log.events("displaced").is_empty());
        std::fs::remove_file(bench.file("daemon.lock")).unwrap();
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    }
}

/// The door is closed to the old daemon and not to its successor, which publishes in the very directory that the old one has a
/// handle of. What the old one finds there is not what it wrote; but it is in doubt, and restores nothing, nor does it tidy up.
#[test]
fn p4_in_doubt_nothing_is_written() {
    let bench = bench!();
    let old = of_nobody(&bench);
    set_mode(bench.home(), 0o000);
    old.log.wait_for("doubt", aileron_tests::PROMPT);
    for name in ["daemon.lock", "daemon.json", "daemon.pid"] {
        // With a link left, so that nothing is proved.
        std::fs::rename(bench.file(name), bench.file(&format!("{name}.old"))).unwrap();
        std::fs::write(bench.file(name), "the successor's").unwrap();
    }
    let before = Snapshot::of(&bench.state());
    old.three_looks();
    old.three_looks();
    old.three_looks();
    old.process.signal(Signal::TERM);
    assert_eq!(old.process.wait(aileron_tests::PROMPT), aileron_tests::End::Status(0));
    assert_eq!(Snapshot::of(&bench.state()), before);
    set_mode(bench.home(), 0o755);
}

/// As root every file can be read. Its owner cannot read a record of mode 000, so it is damaged, and mended like any other.
#[test]
fn p11_a_record_that_may_not_be_read_is_mended() {
    let bench = bench!();
    chown(bench.home(), Some(NOBODY), Some(NOBODY)).expect("this test must be run as root");
    let running = bench.embedder(bench.programs().service, &["--poll", "3600000"]).user(NOBODY).start();
    let daemon = bench.ready(&running);
    set_mode(&bench.file("daemon.json"), 0o000);
    until("the record is readable again", PROMPT, || {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(bench.file("daemon.json")).ok()?.permissions().mode();
        (mode & 0o777 == 0o600).then_some(())
    });
    assert_eq!(bench.record()["instance"], daemon.instance);
}

fn of_nobody(bench: &Bench) -> Daemon {
    chown(bench.home(), Some(NOBODY), Some(NOBODY)).expect(
        "this test must be run as root: it needs a second, unprivileged user, and passes for nothing without",
    );
    let options = ["--no-lock-events", "--poll", "100"];
    let running = bench.embedder(bench.programs().service, &options).user(NOBODY).start();
    let daemon = bench.ready(&running);
    assert!(daemon.process.status_line("Uid").starts_with("65534"), "it runs unprivileged");
    daemon
}
