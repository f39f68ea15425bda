//! P10 and failures 6, 8, 15 and 29: the daemon keeps the caller's pipe, terminal, descriptors, environment, or dies with it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use aileron_tests::{Bench, Daemon, End, PROMPT, Process, Signal, bench, put_fifo, until};

/// A launcher as careless as they come: descriptors open without close-on-exec, signals ignored, another umask, another
/// directory, secrets in the environment.
fn carelessly_launched(bench: &Bench) -> Daemon {
    let (stray, fifo) = (bench.beside("stray"), bench.beside("fifo"));
    fs::write(&stray, "").unwrap();
    put_fifo(&fifo);
    let script = "trap '' HUP INT QUIT TERM USR1 USR2 CHLD TSTP; umask 000; cd \"$4\"
        exec 5</etc/hostname 6>>\"$2\" 7<>\"$3\" 8>&1 9>&2
        exec env --block-signal --ignore-signal=SYS \"$1\" url";
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

/// The same for a daemon that a client launched, in the moment at which it has most: it starts, and has the launch pipe, the
/// listener, the lock, the log and the keeper's watches.
#[test]
fn p10_a_child_of_a_starting_daemon_inherits_nothing() {
    let bench = bench!();
    let note = bench.beside("child");
    let client = bench.call(bench.programs().slow).args(["ensure", "30000", "--fault", "child", "--count"]);
    client.arg(&note).succeed();
    // Its launch is counted by a byte before the pid.
    let pid = fs::read_to_string(&note).unwrap().trim().trim_start_matches('.').parse().unwrap();
    let child = Arc::new(Process::open(pid).expect("it outlives its parent's start"));
    bench.keep(&child);
    until("the child is the program that it was to be", PROMPT, || {
        (child.proc("cmdline").starts_with("sleep")).then_some(())
    });
    let log = bench.file("daemon.log").to_string_lossy().into_owned();
    let mut descriptors = child.descriptors();
    descriptors.sort();
    // What it says goes where its parent's own lines go.
    let its_own = [(0, "/dev/null".to_owned()), (1, log.clone()), (2, log)];
    assert_eq!(descriptors, its_own);
    // materialize#12050: lock and port are free as soon as the daemon is gone, whoever of its children lives on.
    let daemon = bench.daemon();
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    let free = fs::File::open(bench.file("daemon.lock")).unwrap();
    free.try_lock().expect("the child has no copy of the lock");
    let _port = std::net::TcpListener::bind(daemon.address).expect("and none of the listener");
    assert!(child.is_alive());
}

/// A soft limit is the launcher's own wish for itself: a build that limits its CPU time would have the daemon killed days later.
#[test]
fn p10_soft_limits_of_the_launcher_are_not_the_daemons() {
    let bench = bench!();
    let limits =
        "ulimit -S -t 3600; ulimit -S -f 2000; ulimit -S -n 64; ulimit -S -v 4000000; ulimit -S -d 4000000
        ulimit -S -p 5000; ulimit -S -s 512; ulimit -S -c 8; exec \"$1\" url";
    bench.call("/bin/dash").args(["-c", limits, "sh"]).arg(bench.programs().aileron).succeed();
    let daemon = bench.daemon();
    let (own, given) = (Process::open(std::process::id()).unwrap(), limits_of(&daemon.process));
    let own = limits_of(&own);
    for name in ["Max cpu time", "Max file size", "Max data size", "Max address space", "Max processes"] {
        let (soft, hard) = &given[name];
        assert_eq!(soft, hard, "{name}");
        assert_eq!(hard, &own[name].1, "{name}: an administrator's limit is left alone");
    }
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let (soft, hard) = &given["Max open files"];
    assert_eq!(
        number(soft),
        number(hard).min(65_536),
        "enough, and not more than a child's loop over them can bear"
    );
    let (soft, hard) = &given["Max stack size"];
    assert_eq!(number(soft), number(hard).min(8 << 20));
    assert_ne!(
        given["Max core file size"].0, given["Max core file size"].1,
        "dumps stay as small as they were"
    );
    assert!(daemon.log.events("limits").is_empty(), "nothing is low");
}

/// `/proc/PID/limits`: soft and hard, by name.
fn limits_of(process: &Process) -> BTreeMap<String, (String, String)> {
    let line = |line: &str| {
        let (name, rest) = line.split_at_checked(26)?;
        let mut values = rest.split_ascii_whitespace().map(String::from);
        Some((name.trim().to_owned(), (values.next()?, values.next()?)))
    };
    process.proc("limits").lines().filter_map(line).collect()
}

/// A hard limit stays, and the log says which is low while there is a log. A write beyond it fails; by default it ends the
/// process (`SIGXFSZ`).
#[test]
fn p10_a_full_log_ends_no_daemon() {
    let bench = bench!();
    bench.make_state();
    // 64 blocks of 512 bytes; the log is 100 bytes short of the largest file there may be.
    fs::write(bench.file("daemon.log"), format!("{}\n", "x".repeat(32 * 1024 - 101))).unwrap();
    let limited = "ulimit -f 64; exec \"$@\"";
    let call = bench.call("/bin/dash").args(["-c", limited, "sh"]).arg(bench.programs().service);
    let running = call.arg("--state-dir").arg(bench.state()).args(["daemon", "run"]).start();
    let daemon = bench.ready(&running);
    // About 200 KB of lines.
    assert_eq!(daemon.ask("GET", "/say/0/1000").unwrap().status, 200);
    assert_eq!(daemon.handshake().unwrap().status, 200);
    let size = |name| fs::metadata(bench.file(name)).map_or(0, |found| found.len());
    until("the log goes on in a file that is not full", PROMPT, || {
        assert_eq!(daemon.ask("GET", "/say/1000/1").unwrap().status, 200);
        let log = fs::read_to_string(bench.file("daemon.log")).ok()?;
        (log.contains("\"line\":1000") && size("daemon.log") < 32 * 1024).then_some(())
    });
    assert!(size("daemon.log.1") <= 32 * 1024);
    // Its children are not told to ignore what it survives.
    let child = daemon.ask("GET", "/child-signals").unwrap().body;
    let ignored = child.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
    assert_eq!(u64::from_str_radix(&ignored, 16).unwrap() & (1 << 24), 0, "SIGXFSZ (25)");
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}

#[test]
fn p10_a_low_hard_limit_is_said_in_the_log() {
    let bench = bench!();
    let limited = "ulimit -f 2000; ulimit -t 3600; ulimit -n 128; exec \"$1\" url";
    bench.call("/bin/dash").args(["-c", limited, "sh"]).arg(bench.programs().aileron).succeed();
    let daemon = bench.daemon();
    let low = daemon.log.wait_for("limits", PROMPT)["low"].to_string();
    for words in ["1024000 bytes in a file", "3600 s of CPU time", "128 descriptors"] {
        assert!(low.contains(words), "{words}: {low}");
    }
}

/// A sandbox is to be killed first when memory runs out; that is not the wish of the daemon that it needed.
#[test]
fn p10_the_launchers_oom_score_is_not_the_daemons() {
    let bench = bench!();
    let call = bench.call("/usr/bin/choom").args(["-n", "500", "--"]).arg(bench.programs().aileron);
    call.arg("url").succeed();
    assert_eq!(bench.daemon().process.proc("oom_score_adj").trim(), "0");
}

/// `prctl(2)`, `PR_SET_PDEATHSIG`: a client that is to die with its parent has a daemon that is not, and that outlives the client.
#[test]
fn p10_the_launchers_parent_death_signal_is_not_the_daemons() {
    let bench = bench!();
    let call = bench.call("/usr/bin/setpriv").args(["--pdeathsig", "KILL"]).arg(bench.programs().aileron);
    assert!(call.arg("url").succeed().stdout.starts_with("http://"));
    let daemon = bench.daemon();
    assert_eq!(daemon.handshake().unwrap().status, 200);
    assert_eq!(
        daemon.process.stat(4).unwrap(),
        std::process::id().to_string(),
        "its parent is gone, and it is not"
    );
}

/// A program without standard streams is given their numbers for what it opens, the launch pipe for instance.
#[test]
fn p10_a_launcher_without_standard_streams_has_a_daemon_with_them() {
    let bench = bench!();
    let client = bench.call(bench.programs().slow).args(["ensure", "30000"]).env("CLOSED_STREAMS", "1");
    assert!(client.succeed().stdout.starts_with("started"));
    let daemon = bench.daemon();
    let log = bench.file("daemon.log").to_string_lossy().into_owned();
    let mut descriptors = daemon.process.descriptors();
    descriptors.sort();
    assert_eq!(descriptors[..3], [(0, "/dev/null".to_owned()), (1, log.clone()), (2, log)]);
    drop(daemon);

    let bench = bench!();
    let script = "exec \"$1\" url <&- 2>&-";
    bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.programs().aileron).succeed();
    assert_eq!(bench.daemon().handshake().unwrap().status, 200);
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
