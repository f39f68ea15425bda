//! P10 and failures 6, 8, 15 and 29: the daemon keeps the caller's pipe, terminal, descriptors, environment, or dies with it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::Path;

use aileron_tests::{Bench, Daemon, PROMPT, Process, bench, put_fifo, until};

/// A launcher as careless as they come: descriptors open without close-on-exec, signals ignored, another umask, another
/// directory, secrets in the environment.
fn carelessly_launched(bench: &Bench) -> Daemon {
    let (stray, fifo) = (bench.beside("stray"), bench.beside("fifo"));
    fs::write(&stray, "").unwrap();
    put_fifo(&fifo);
    let script = "trap '' HUP INT QUIT TERM USR1 USR2 CHLD TSTP; umask 000; cd \"$4\"
        exec 5</etc/hostname 6>>\"$2\" 7<>\"$3\" 8>&1 9>&2
        exec \"$1\" url";
    let call =
        bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.programs().aileron).arg(stray).arg(fifo);
    let call = call.arg(bench.home()).env("SECRET", "hunter2").env("HTTP_PROXY", "http://127.0.0.1:1");
    let call = call.env("LD_LIBRARY_PATH", "/nowhere").env("LC_ALL", "C").env("AILERON_IDLE_TIMEOUT", "1h");
    // That this returns is the first promise: 8 and 9 are the pipes whose end is waited for.
    let outcome = call.succeed();
    let daemon = bench.daemon();
    assert_eq!(outcome.stdout.trim(), daemon.url());
    daemon
}

/// BrowserSkill#55, kache#704: `url=$(tool url)` in CI hangs for the life of the daemon.
#[test]
fn p10_the_daemon_has_nothing_of_the_callers() {
    let bench = bench!();
    let daemon = carelessly_launched(&bench);
    let state = bench.state();
    for (number, path) in daemon.process.descriptors() {
        let its_own = match number {
            0 => path == "/dev/null",
            1 | 2 => Path::new(&path) == state.join("daemon.log"),
            _ => {
                Path::new(&path).starts_with(&state)
                    || path.starts_with("anon_inode:")
                    || path.starts_with("socket:")
                    || path.ends_with("/mountinfo")
                    || is_within(&daemon, &path)
            }
        };
        assert!(its_own, "descriptor {number} is {path}");
    }
}

/// Whether a pipe has both its ends in this process.
fn is_within(daemon: &Daemon, pipe: &str) -> bool {
    pipe.starts_with("pipe:")
        && daemon.process.descriptors().iter().filter(|(_, path)| path == pipe).count() >= 2
}

/// flow#25516, atuin#3561: it died with the terminal, kept a directory busy, ignored signals, wrote files for all to read.
#[test]
fn p10_session_directory_umask_and_signals_are_its_own() {
    let bench = bench!();
    let daemon = carelessly_launched(&bench);
    let pid = daemon.process.pid().to_string();
    let field = |number| daemon.process.stat(number).unwrap();
    assert_eq!(
        (field(5), field(6), field(7)),
        (pid.clone(), pid, "0".to_owned()),
        "group, session, terminal"
    );
    let link = |name| fs::read_link(format!("/proc/{}/{name}", daemon.process.pid())).unwrap();
    assert_eq!(link("cwd"), Path::new("/"));
    assert_eq!(daemon.process.status_line("Umask"), "0077");
    let signals = |line| u64::from_str_radix(&daemon.process.status_line(line), 16).unwrap();
    // std itself ignores SIGPIPE (13) in every Rust program; 32 and 33 are glibc's own, which it lets nobody change.
    let beyond_us = 1 << 12 | 1 << 31 | 1 << 32;
    assert_eq!(
        (signals("SigIgn") & !beyond_us, signals("SigBlk")),
        (0, 0),
        "nothing ignored, nothing blocked"
    );
    for name in ["daemon.lock", "daemon.json", "daemon.pid", "daemon.log", "start.lock"] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(bench.file(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

/// t3code#11872, bazel#3324: the proxy and the secrets of whichever shell needed the daemon first, frozen into it for life.
#[test]
fn p10_the_environment_is_a_stated_one() {
    let bench = bench!();
    let daemon = carelessly_launched(&bench);
    let environment = daemon.process.proc("environ");
    let mut names: Vec<&str> =
        environment.split('\0').filter_map(|entry| entry.split_once('=')).map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH"]);
    // Its own options came all the same.
    assert_eq!(daemon.view()["options"]["idle_timeout_ms"], 3_600_000);
}

/// mvnd#193, tmux#428: the terminal in which it was first needed is closed.
#[test]
fn p10_the_terminal_hangs_up_and_the_daemon_goes_on() {
    let bench = bench!();
    let call = bench.call(bench.programs().terminal).arg(bench.programs().aileron).arg("url");
    // By its exit status or by the hang-up, which is its own: either way it is gone.
    assert!(call.run().stdout.starts_with("http://"));
    let daemon = bench.daemon();
    assert_eq!(daemon.process.stat(7).unwrap(), "0", "no controlling terminal");
    assert!(
        daemon.process.descriptors().iter().all(|(_, path)| !path.contains("pts") && !path.contains("tty"))
    );
    assert_eq!(daemon.handshake().unwrap().status, 200);
}

/// The launcher's whole process group is ended, as a job runner does: the daemon is in none of it.
#[test]
fn p10_the_launchers_group_is_killed_and_the_daemon_goes_on() {
    let bench = bench!();
    let script = "\"$1\" url; kill -TERM 0";
    let outcome = bench
        .call("/usr/bin/setsid")
        .args(["--wait", "/bin/sh", "-c", script, "sh"])
        .arg(bench.programs().aileron)
        .run();
    assert!(outcome.stdout.starts_with("http://"), "{outcome:?}");
    let daemon = bench.daemon();
    assert_eq!(daemon.handshake().unwrap().status, 200);
    assert!(daemon.log.events("draining").is_empty());
}

/// materialize#12050: a child of the daemon kept its lock and its port, and no other daemon could start.
#[test]
fn p10_the_daemons_children_inherit_nothing() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    let listing = daemon.ask("GET", "/child").unwrap().body;
    // What whoever runs this test has left open is in a daemon in the foreground too, and is not its doing.
    let ours = Process::open(std::process::id()).unwrap().descriptors();
    let inherited: Vec<&str> = listing
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .filter(|(link, target)| {
            !matches!(link.rsplit(' ').next(), Some("0" | "1" | "2")) && !target.starts_with("/proc/")
        })
        .map(|(_, target)| target)
        .filter(|target| !ours.iter().any(|(_, path)| path == target))
        .collect();
    assert!(inherited.is_empty(), "{inherited:?}");
}

/// The program is exchanged while the daemon runs, as an upgrade does: the daemon goes on, and so do its clients.
#[test]
fn p10_an_upgrade_under_a_running_daemon_disturbs_nobody() {
    let bench = bench!();
    let copy = bench.beside("aileron");
    fs::copy(bench.programs().aileron, &copy).unwrap();
    bench.call(&copy).arg("url").succeed();
    let daemon = bench.daemon();
    fs::remove_file(&copy).unwrap();
    fs::copy(bench.programs().aileron, &copy).unwrap();
    assert_eq!(bench.call(&copy).arg("url").succeed().stdout.trim(), daemon.url());
    daemon.process.kill();
    until("it is gone", PROMPT, || (!daemon.process.is_alive()).then_some(()));
    bench.call(&copy).arg("url").succeed();
}
