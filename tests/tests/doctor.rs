//! `daemon doctor`: each check is made to fail, and a healthy daemon has none that does. Failures 1, 3, 9, 12, 18, 20, 21, 25,
//! 26 and 28. It writes nothing unless told to, and then only what it listed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aileron_tests::report::{Report, doctor, fix};
use aileron_tests::{Bench, Mount, PROMPT, Tree, bench, in_own_mounts, lock_file, put_fifo, set_mode, until};
use serde_json::Value;

/// A state directory as a daemon that was killed leaves it.
fn killed(bench: &Bench) {
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
}

/// A user of its own, so that what others use up is not counted.
#[test]
fn a_healthy_daemon_has_nothing_wrong() {
    let bench = bench!();
    let user = bench.lone_user();
    bench.aileron(&["daemon", "start"]).user(user).succeed();
    let before = Tree::of(&bench.state());
    let report = Report::of(bench.aileron(&[]).user(user));
    for check in report.document["checks"].as_array().unwrap() {
        assert_eq!((&check["result"], &check["remedy"]), (&"ok".into(), &Value::Null), "{check}");
    }
    assert_eq!((report.status, report.fixes().len()), (0, 0));
    assert_eq!(report.document["state_dir"]["rule"], "HOME");
    assert_eq!(Tree::of(&bench.state()), before, "nothing was written");
    let text = bench.aileron(&["daemon", "doctor"]).user(user).succeed().stdout;
    assert!(text.starts_with("nothing wrong: 24 ok, 0 skipped\n"), "{text}");
    assert!(!report.document.to_string().contains(&bench.daemon().token), "no token");
}

#[test]
fn where_there_is_nothing_nothing_is_wrong_and_nothing_is_made() {
    let bench = bench!();
    doctor(&bench).says("state_dir", "ok", "there is none yet").says("record", "skipped", "no directory");
    assert_eq!(fix(&bench).fixes().len(), 0);
    assert!(!bench.state().exists());
}

/// Failure 26: whatever stands at the path, the report is whole and says what it is.
#[test]
fn a_directory_that_cannot_be_used_is_a_failure() {
    let bench = bench!();
    let user = bench.lone_user();
    chown(bench.home(), Some(0), Some(0)).unwrap();
    let other = bench.beside("other");
    fs::create_dir(&other).unwrap();
    symlink(&other, bench.state()).unwrap();
    doctor(&bench).says("state_dir", "failure", "symlink");
    fs::remove_file(bench.state()).unwrap();
    fs::write(bench.state(), "").unwrap();
    doctor(&bench).says("state_dir", "failure", "not a directory");
    fs::remove_file(bench.state()).unwrap();
    Report::of(bench.aileron(&[]).env_remove("HOME"))
        .says("state_dir", "failure", "HOME")
        .says("lock", "skipped", "");
    // Another user may neither make one here nor use this one.
    Report::of(bench.aileron(&[]).user(user)).says("state_dir", "failure", "may not make one");
    bench.make_state();
    Report::of(bench.aileron(&[]).user(user)).says("state_dir", "failure", "cannot open");
    set_mode(&bench.state(), 0o755);
    Report::of(bench.aileron(&[]).user(user)).says("state_dir", "failure", "belongs to uid 0");
    set_mode(&bench.state(), 0o500);
    chown(bench.state(), Some(user), Some(user)).unwrap();
    Report::of(bench.aileron(&[]).user(user)).says("state_dir", "failure", "you may not write");
    set_mode(&bench.state(), 0);
    Report::of(bench.aileron(&[]).user(user)).says("state_dir", "failure", "cannot open");
}

/// Failure 21: a file system that was remounted read-only.
#[test]
fn a_read_only_file_system_is_seen() {
    in_own_mounts(|| {
        let bench = bench!();
        killed(&bench);
        let mount = Mount::bind(&bench.state(), &bench.state());
        mount.read_only().unwrap();
        doctor(&bench).says("file_system", "warning", "read-only").says(
            "state_dir",
            "failure",
            "may not write",
        );
    });
}

/// Failure 25: nothing left to write with, or to make files with.
#[test]
fn a_full_file_system_is_seen() {
    for (options, evidence) in [(",size=64k", "64 KiB free"), (",size=4m,nr_inodes=8", "7 files")] {
        in_own_mounts(|| {
            let bench = bench!();
            bench.make_state();
            let _mount = Mount::tmpfs(&bench.state(), options);
            doctor(&bench).says("space", "warning", evidence).says("file_system", "ok", "tmpfs");
        });
    }
    in_own_mounts(|| {
        let bench = bench!();
        bench.make_state();
        let _mount = Mount::tmpfs(&bench.state(), ",size=64k");
        fs::write(bench.file("filler"), vec![0; 64 * 1024]).unwrap();
        doctor(&bench).says("space", "failure", "0 KiB free");
    });
}

#[test]
fn a_log_that_is_too_long_or_cannot_be_written() {
    let bench = bench!();
    killed(&bench);
    fs::File::options().append(true).open(bench.file("daemon.log")).unwrap().set_len(20 << 20).unwrap();
    doctor(&bench).says("log", "warning", "20480 KiB of 10240");
    fs::remove_file(bench.file("daemon.log")).unwrap();
    put_fifo(&bench.file("daemon.log"));
    doctor(&bench).says("log", "warning", "a FIFO");
    let other = bench!();
    let user = other.lone_user();
    other.aileron(&["daemon", "start"]).user(user).succeed();
    other.aileron(&["stop"]).user(user).succeed();
    set_mode(&other.file("daemon.log"), 0o400);
    Report::of(other.aileron(&[]).user(user)).says("log", "failure", "you may not write");
}

/// P6: what stands in the lock's place is named and left; who holds it and is no daemon is said.
#[test]
fn p6_a_lock_that_is_none_or_somebody_elses() {
    let bench = bench!();
    bench.make_state();
    let before = |path: PathBuf| fs::symlink_metadata(path).unwrap().file_type();
    put_fifo(&bench.file("daemon.lock"));
    let kind = before(bench.file("daemon.lock"));
    doctor(&bench).says("lock", "failure", "a FIFO");
    fix(&bench);
    assert_eq!(before(bench.file("daemon.lock")), kind, "not even with --fix");
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    let _stranger = lock_file(&bench.file("daemon.lock"));
    doctor(&bench)
        .says("lock", "failure", "no process")
        .says("record", "warning", "the lock is held")
        .says("handshake", "failure", "there is no record")
        .says("process", "failure", "does not identify");
}

/// Failure 18: a file system that grants the lock to everybody, and one that has none.
#[test]
fn p1_a_file_system_that_lies_about_locks_is_found_out() {
    for (fault, evidence) in [("flock=0", "twice"), ("flock=ENOLCK", "has no locks")] {
        let bench = bench!();
        killed(&bench);
        let faulty = bench.faulty(&[fault], bench.programs().aileron);
        Report::of(faulty).says("lock_enforcement", "failure", evidence);
        // Without a lock file it is the directory's own lock that is tried.
        fs::remove_file(bench.file("daemon.lock")).unwrap();
        let faulty = bench.faulty(&[fault], bench.programs().aileron);
        let result = if fault == "flock=0" { ("failure", "twice") } else { ("skipped", "without writing") };
        Report::of(faulty).says("lock_enforcement", result.0, result.1);
        assert!(!bench.file("daemon.lock").exists());
        doctor(&bench).says("lock_enforcement", "ok", "refused");
    }
}

/// Failure 1.
#[test]
fn an_orphan_of_this_directory_is_counted() {
    let bench = bench!();
    let orphan = bench.start(&["--no-lock-events", "--lock-poll-interval", "24h"]);
    fs::remove_dir_all(bench.state()).unwrap();
    bench.start(&[]);
    let pid = orphan.process.pid().to_string();
    doctor(&bench).says("orphans", "warning", &pid).says("orphans", "warning", "(1 of this directory)");
    fix(&bench);
    assert!(orphan.process.is_alive(), "--fix ends nobody");
}

/// Failures 3, 10 and 25: records that are stale, damaged, or no files.
#[test]
fn a_bad_record_is_said_and_hangs_nothing() {
    let bench = bench!();
    killed(&bench);
    let record = bench.record();
    doctor(&bench).says("record", "warning", "nobody holds the lock").says("place", "ok", "this host").says(
        "handshake",
        "skipped",
        "no daemon",
    );
    let mut other = record.clone();
    other["process"]["boot_id"] = "another".into();
    fs::write(bench.file("daemon.json"), other.to_string()).unwrap();
    doctor(&bench).says("place", "ok", "stale");
    let lock = lock_file(&bench.file("daemon.lock"));
    doctor(&bench).says("place", "failure", "another boot").says("handshake", "failure", "not reachable");
    drop(lock);
    other["started_at"] = "2999-01-01T00:00:00Z".into();
    fs::write(bench.file("daemon.json"), other.to_string()).unwrap();
    doctor(&bench).says("clock", "warning", "2999");
    fs::write(bench.file("daemon.json"), "{").unwrap();
    doctor(&bench).says("record", "warning", "damaged");
    fs::remove_file(bench.file("daemon.json")).unwrap();
    put_fifo(&bench.file("daemon.json"));
    let report = doctor(&bench);
    report.says("record", "warning", "a FIFO");
    assert!(report.took < Duration::from_secs(20), "{:?}", report.took);
}

/// Failure 10 and P14: one that is stopped answers nothing, and the report is whole.
#[test]
fn p14_a_frozen_daemon_hangs_no_doctor() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.freeze();
    let report = doctor(&bench);
    report
        .says("lock", "failure", "stopped by a signal")
        .says("handshake", "failure", "nobody was proved")
        .says("process", "ok", "has the lock open")
        .says("version", "skipped", "no daemon");
    assert!(report.took < Duration::from_secs(30), "{:?}", report.took);
    // And no sooner done than its deadline allows, if it has a shorter one.
    Report::of(bench.aileron(&["--timeout", "500ms"])).says("handshake", "failure", "");
    daemon.process.thaw();
    assert_eq!(daemon.view()["state"], "ready", "nothing was ended");
}

#[test]
fn a_daemon_that_starts_is_said_to_start() {
    let bench = bench!();
    let program = bench.named(bench.programs().slow, "aileron");
    let running = bench.embedder(&program, &["--init", "60000"]).start();
    until("it has the lock", PROMPT, || {
        (doctor(&bench).check("handshake")["result"] == "warning").then_some(())
    });
    doctor(&bench).says("handshake", "warning", "has not said where it listens").says(
        "lock",
        "ok",
        &running.process.pid().to_string(),
    );
}

/// Failure 9: a daemon of a container that shares the directory and the network.
#[test]
fn a_daemon_of_another_namespace_is_said_to_be_elsewhere() {
    let bench = bench!();
    let call = bench.call("/usr/bin/unshare").args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    let call = call.arg(bench.programs().aileron).arg("--state-dir").arg(bench.state());
    let _unshare = call.args(["daemon", "run"]).start();
    until("it is ready", PROMPT, || bench.file("daemon.pid").exists().then_some(()));
    until("it serves", PROMPT, || (doctor(&bench).check("handshake")["result"] == "ok").then_some(()));
    doctor(&bench).says("place", "warning", "namespace").says("handshake", "ok", "proved");
}

/// Failure 5.
#[test]
fn a_version_that_does_not_fit_is_said() {
    let bench = bench!();
    let _daemon = bench.service(&["--as-version", "9.0.0"]);
    doctor(&bench).says("version", "warning", "the daemon 9.0.0");
}

#[test]
fn a_program_that_was_replaced_is_said() {
    let bench = bench!();
    let program = bench.named(bench.programs().aileron, "helper-daemon");
    bench.call(&program).args(["daemon", "start"]).succeed();
    bench.daemon();
    fs::remove_file(&program).unwrap();
    doctor(&bench).says("program", "warning", "was replaced or deleted");
}

/// Failure 28.
#[test]
fn a_daemon_without_events_is_said() {
    let bench = bench!();
    let _daemon = bench.start(&["--no-lock-events"]);
    doctor(&bench).says("watcher", "warning", "no file events");
}

/// Failure 28: the limit is a real one, of a user namespace (`user_namespaces(7)`).
#[test]
fn an_inotify_limit_is_said() {
    const LIMIT: &str = r#"
limit=/proc/sys/user/$0; test -w "$limit" || mount -o remount,bind,rw /proc/sys
exec unshare --user --map-root-user /bin/sh -c 'echo 0 > "$0" && exec "$@"' "$limit" "$@"
"#;
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let bench = bench!();
        let call = bench.call("/usr/bin/unshare").args(["--mount", "/bin/sh", "-c", LIMIT, limit]);
        let report = Report::of(call.arg(bench.programs().aileron));
        report.says("inotify", "warning", "of 0 ");
    }
}

/// Failure 21: a sandbox without `/proc`. A daemon is found there, and nothing hangs.
#[test]
fn without_a_process_table_the_report_is_whole() {
    let bench = bench!();
    let _daemon = bench.start(&[]);
    let script = r#"mount -t tmpfs none /proc && exec "$@""#;
    let call = bench.call("/usr/bin/unshare").args(["--mount", "/bin/sh", "-c", script, "sh"]);
    Report::of(call.arg(bench.programs().aileron))
        .says("proc", "warning", "cannot be signalled")
        .says("orphans", "skipped", "does not tell")
        .says("inotify", "skipped", "")
        .says("control_group", "skipped", "")
        .says("handshake", "ok", "proved")
        .says("process", "warning", "");
}

/// Failure 8, in a login session: a control group as systemd names it, put in the place of the daemon's.
#[test]
fn a_control_group_that_takes_the_daemon_along_is_said() {
    in_own_mounts(|| {
        let bench = bench!();
        let daemon = bench.start(&[]);
        let group = bench.beside("cgroup");
        fs::write(&group, "0::/user.slice/user-0.slice/session-7.scope\n").unwrap();
        let _mount = Mount::bind(&group, Path::new(&format!("/proc/{}/cgroup", daemon.process.pid())));
        doctor(&bench).says("control_group", "warning", "a login session");
    });
}

/// Failures 20, 26 and 34: variables that change what commands do, and one that cannot be understood.
#[test]
fn variables_that_matter_are_said() {
    let bench = bench!();
    bench.start(&[]);
    let with = |name: &str, value: &str| Report::of(bench.aileron(&[]).env(name, value));
    // The daemon of the directory is looked at all the same.
    with("AILERON_API_URL", "http://127.0.0.1:1").says("environment", "warning", "AILERON_API_URL").says(
        "handshake",
        "ok",
        "proved",
    );
    with("AILERON_NO_AUTOSTART", "1").says("environment", "warning", "AILERON_NO_AUTOSTART");
    for (name, value) in
        [("TIMEOUT", "soon"), ("BIND", "0.0.0.0:1"), ("API_URL", "here"), ("NO_AUTOSTART", "maybe")]
    {
        with(&format!("AILERON_{name}"), value).says("environment", "failure", "");
    }
    with("AILERON_LOG", "debug").says("environment", "ok", "AILERON_LOG");
    with("http_proxy", "http://proxy:3128").says("proxy", "warning", "http_proxy").says(
        "handshake",
        "ok",
        "",
    );
    let spared =
        bench.aileron(&[]).env("HTTP_PROXY", "http://proxy:3128").env("no_proxy", "localhost,127.0.0.1");
    Report::of(spared).says("proxy", "ok", "spares");
}

/// What a person sees: what is wrong first, 80 columns, colour when asked for.
#[test]
fn the_report_is_for_a_person() {
    let bench = bench!();
    bench.aileron(&["stop", "--hold"]).succeed();
    fs::write(bench.file("daemon.json"), "{").unwrap();
    set_mode(&bench.file("daemon.json"), 0o644);
    let text = bench.aileron(&["daemon", "doctor"]).succeed().stdout;
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("3 warnings; "), "{text}");
    assert!(lines.next().unwrap().starts_with("warn  modes"), "{text}");
    assert!(text.contains("next: `aileron daemon start` clears it"), "{text}");
    assert!(text.contains("\n`aileron daemon doctor --fix` would\n  set `"), "{text}");
    let fits = |line: &str| line.chars().count() <= 80 || line.contains(bench.home().to_str().unwrap());
    assert!(text.lines().all(fits), "{text}");
    assert!(!text.contains('\u{1b}'));
    let coloured = bench.aileron(&["daemon", "doctor", "--color", "always"]).succeed().stdout;
    assert!(coloured.contains("\u{1b}[33mwarn"), "{coloured}");
    let fixed = bench.aileron(&["daemon", "doctor", "--fix"]).succeed();
    assert!(
        fixed.stderr.starts_with("to be fixed:\n  set `") && fixed.stdout.contains("to 0600: done"),
        "{fixed:?}"
    );
}

/// Without the gate nothing is started and nothing is stopped, so a report that says nothing of it is none.
#[test]
fn a_start_gate_that_cannot_be_used_is_said() {
    let bench = bench!();
    let user = bench.lone_user();
    bench.aileron(&["daemon", "start"]).user(user).succeed();
    let report = || Report::of(bench.aileron(&[]).user(user));
    report().says("start_gate", "ok", "nobody");
    // Ours, and root's: only who may look at its holder is told of it.
    let other = bench!();
    other.start(&[]);
    let held = lock_file(&other.file("start.lock"));
    doctor(&other).says("start_gate", "warning", "held by process");
    drop(held);
    set_mode(&bench.file("start.lock"), 0);
    report().says("start_gate", "failure", "mode 0000");
    fs::remove_file(bench.file("start.lock")).unwrap();
    fs::create_dir(bench.file("start.lock")).unwrap();
    report().says("start_gate", "failure", "a directory");
}
