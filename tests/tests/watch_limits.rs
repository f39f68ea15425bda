//! Failures 28 and 30: watching is not enough, and there may be nothing left to watch with. The limits are real ones: those
//! of a user namespace (`user_namespaces(7)`), the length of the event queue, `RLIMIT_NOFILE`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::{Duration, Instant};

use aileron_tests::http::{read_answer, send};
use aileron_tests::{Bench, Daemon, End, FileSystem, PROMPT, bench, link_all, set_mode, until};
use rustix::fs::{CWD, RenameFlags};
use rustix::process::{Pid, Resource, Rlimit};

/// What could not be watched is tried again every 5 s.
const REARMED: Duration = Duration::from_secs(30);

/// `nobody`, on most systems; any uid without privileges will do.
const NOBODY: u32 = 65534;

const INSTANCES: &str = "max_inotify_instances";
const WATCHES: &str = "max_inotify_watches";

/// Waits until the log's last word on watching is this mode, and the daemon says the same when it is asked.
fn watches_by(daemon: &Daemon, mode: &str, because: &str) {
    until(&format!("the log says `{mode}` because of `{because}`"), REARMED, || {
        let said = daemon.log.events("watching").pop()?;
        (said["mode"] == mode && said["missing"].as_str()?.contains(because)).then_some(())
    });
    // It is said in the log a moment before it can be asked for.
    let watcher = until("the daemon says so too", PROMPT, || {
        Some(daemon.view()["watcher"].take()).filter(|watcher| watcher["mode"] == mode)
    });
    let interval = if mode == "poll" { 1000 } else { 5000 };
    assert_eq!(watcher["interval_ms"], interval, "{watcher}");
    let missing = watcher["missing"].as_array().unwrap();
    assert_eq!(missing.is_empty(), mode == "events");
    assert!(missing.is_empty() || missing.iter().any(|why| why.as_str().unwrap().contains(because)));
}

/// The lock goes, and the daemon ends because of it.
fn ends_when_the_lock_goes(bench: &Bench, daemon: &Daemon) {
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
}

/// Executes its arguments in a user namespace of their own, in which the limit `$0` is `$1`. Where the kernel's settings are
/// read-only, as in a container, they are made writable for these processes alone.
const LIMIT: &str = r#"
limit=/proc/sys/user/$0 value=$1; shift
test -w "$limit" || mount -o remount,bind,rw /proc/sys
exec unshare --user --map-root-user /bin/sh -c 'echo "$1" > "$0" && shift && exec "$@"' "$limit" "$value" "$@"
"#;

/// A daemon with a limit.
fn limited(bench: &Bench, limit: &str, value: u32, options: &[&str]) -> Daemon {
    let call =
        bench.call("/usr/bin/unshare").args(["--mount", "/bin/sh", "-c", LIMIT, limit, &value.to_string()]);
    let call = call.arg(bench.programs().aileron).args(["daemon", "run"]).args(options);
    bench.ready(&call.start())
}

/// Sets a limit of a daemon that has its own.
fn set_limit(bench: &Bench, daemon: &Daemon, limit: &str, value: u32) {
    let script = format!("echo {value} > /proc/sys/user/{limit}");
    let target = daemon.process.pid().to_string();
    let call = bench.call("/usr/bin/nsenter").args(["--mount", "--user", "--target", &target]);
    call.args(["/bin/sh", "-c", &script]).succeed();
}

/// 128 instances per user is what many systems allow, and a few editors use them up. The daemon polls, says so, and is armed
/// once there is one to be had.
#[test]
fn p2_no_inotify_instance_left() {
    let bench = bench!();
    let daemon = limited(&bench, INSTANCES, 0, &[]);
    watches_by(&daemon, "poll", "inotify instance");
    set_limit(&bench, &daemon, INSTANCES, 8);
    watches_by(&daemon, "events", "");
    ends_when_the_lock_goes(&bench, &daemon);
}

/// The same, and the lock goes before there is one: the poll finds it.
#[test]
fn p2_a_loss_without_any_instance() {
    let bench = bench!();
    let daemon = limited(&bench, INSTANCES, 0, &[]);
    watches_by(&daemon, "poll", "inotify instance");
    ends_when_the_lock_goes(&bench, &daemon);
}

/// No watch left, or not enough for all that has to be watched.
#[test]
fn p2_no_watch_left() {
    for value in [0, 3] {
        let bench = bench!();
        let daemon = limited(&bench, WATCHES, value, &[]);
        watches_by(&daemon, "poll", "cannot watch");
        // Beyond what the watches that were placed can tell.
        fs::rename(bench.home(), bench.home().with_file_name("moved")).unwrap();
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    }
}

/// The limit is met only when the daemon has to arm anew: its directory was swapped for a twin with the same lock, and there
/// is no watch to be had for the twin.
#[test]
fn p2_a_limit_that_is_met_when_arming_anew() {
    let bench = bench!();
    let daemon = limited(&bench, WATCHES, 100, &[]);
    watches_by(&daemon, "events", "");
    set_limit(&bench, &daemon, WATCHES, 1);
    let twin = bench.beside("twin");
    link_all(&bench.state(), &twin);
    exchange(&bench.state(), &twin);
    watches_by(&daemon, "poll", bench.state().to_str().unwrap());
    set_limit(&bench, &daemon, WATCHES, 100);
    watches_by(&daemon, "events", "");
    ends_when_the_lock_goes(&bench, &daemon);
}

/// A poll that was asked for keeps its own pace, and what is missing is tried again at *its* pace all the same.
#[test]
fn p2_arming_anew_does_not_wait_for_a_slow_poll() {
    let bench = bench!();
    let daemon = limited(&bench, INSTANCES, 0, &["--lock-poll-interval", "1h"]);
    set_limit(&bench, &daemon, INSTANCES, 8);
    until("the log says `events`", REARMED, || {
        (daemon.log.events("watching").pop()?["mode"] == "events").then_some(())
    });
    ends_when_the_lock_goes(&bench, &daemon);
}

/// A kernel without inotify: it is said, and the poll does it.
#[test]
fn p2_no_inotify_at_all() {
    for fault in ["inotify_init1=ENOSYS", "inotify_add_watch=ENOSYS"] {
        let bench = bench!();
        let daemon =
            bench.ready(&bench.faulty(&[fault], bench.programs().aileron).args(["daemon", "run"]).start());
        watches_by(&daemon, "poll", "not implemented");
        ends_when_the_lock_goes(&bench, &daemon);
    }
}

/// An ancestor that the user may cross but not read, as `/home` is on some systems: a watch on it is refused.
#[test]
fn p2_an_ancestor_that_may_be_crossed_but_not_read() {
    let bench = bench!();
    let users = bench.home().parent().unwrap();
    chown(bench.home(), Some(NOBODY), Some(NOBODY)).expect("this test must be run as root");
    set_mode(users, 0o711);
    let daemon = bench.ready(&bench.aileron(&["daemon", "run"]).user(NOBODY).start());
    watches_by(&daemon, "poll", users.to_str().unwrap());
    assert_eq!(bench.aileron(&["url"]).user(NOBODY).succeed().stdout.trim(), daemon.url());
    set_mode(users, 0o755);
    watches_by(&daemon, "events", "");
    set_mode(users, 0o711);
    // And as long as it cannot be watched, the poll sees it go.
    let other = bench!();
    let users = other.home().parent().unwrap();
    chown(other.home(), Some(NOBODY), Some(NOBODY)).unwrap();
    set_mode(users, 0o711);
    let second = other.ready(&other.aileron(&["daemon", "run"]).user(NOBODY).start());
    fs::rename(users, users.with_file_name("moved")).unwrap();
    assert_eq!(second.process.wait(PROMPT), End::Status(0));
}

fn exchange(one: &Path, other: &Path) {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// Makes more events in the daemon's directory than its queue holds; on a tmpfs, where that takes a tenth of a second.
fn overflow(bench: &Bench) {
    let length = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let length: u32 = length.trim().parse().unwrap();
    assert!(length <= 1 << 20, "a queue of {length} events takes too long to fill");
    let name = bench.file("noise");
    for _ in 0..=length / 2 {
        fs::create_dir(&name).unwrap();
        fs::remove_dir(&name).unwrap();
    }
}

/// A daemon that has lost events knows nothing of what they were: everything is armed anew. Here it was the event that its
/// directory was swapped for a twin; unless that one is watched now, nothing tells of its going.
#[test]
fn p2_lost_events_have_everything_armed_anew() {
    let bench = bench!(FileSystem::Memory);
    let daemon = bench.start(&["--lock-poll-interval", "1h"]);
    let twin = bench.beside("twin");
    link_all(&bench.state(), &twin);
    daemon.process.freeze();
    overflow(&bench);
    exchange(&bench.state(), &twin);
    daemon.process.thaw();
    daemon.log.wait_for("overflow", PROMPT);
    assert_eq!(daemon.handshake().unwrap().status, 200);
    fs::rename(bench.state(), bench.beside("moved")).unwrap();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}

/// What was lost with the queue may have been that the directory was away and back: a new term, as after any absence.
#[test]
fn p3_an_absence_among_lost_events_begins_a_new_term() {
    let bench = bench!();
    let daemon = bench.start(&["--lock-poll-interval", "1h"]);
    let epoch = || daemon.view()["epoch"].as_u64().unwrap();
    let before = epoch();
    daemon.process.freeze();
    overflow(&bench);
    fs::rename(bench.state(), bench.beside("aside")).unwrap();
    fs::rename(bench.beside("aside"), bench.state()).unwrap();
    daemon.process.thaw();
    daemon.log.wait_for("epoch", PROMPT);
    assert!(epoch() > before);
}

/// Arming anew uses the instance that is there. A user has 128 of them, and closing one takes its time.
#[test]
fn p10_arming_anew_leaves_no_instance_behind() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let instances =
        || daemon.process.descriptors().iter().filter(|(_, what)| what.contains("inotify")).count();
    for round in 1..=5 {
        fs::rename(bench.home(), bench.root().join("aside")).unwrap();
        fs::rename(bench.root().join("aside"), bench.home()).unwrap();
        until("a new term has begun", PROMPT, || (daemon.log.events("epoch").len() >= round).then_some(()));
        assert_eq!(instances(), 1, "round {round}");
    }
}

/// The lock goes while events are lost, and the event that told of it is among them.
#[test]
fn p2_a_loss_among_lost_events() {
    let bench = bench!(FileSystem::Memory);
    let daemon = bench.start(&["--lock-poll-interval", "1h"]);
    daemon.process.freeze();
    overflow(&bench);
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    daemon.process.thaw();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
}

/// How many descriptors a process may have.
fn set_descriptors(daemon: &Daemon, count: u64) {
    let pid = Pid::from_raw(daemon.process.pid().try_into().unwrap());
    rustix::process::prlimit(pid, Resource::Nofile, Rlimit { current: Some(count), maximum: Some(4096) })
        .unwrap();
}

/// Clock ticks that a process has used.
fn ticks(daemon: &Daemon) -> u64 {
    [14, 15].into_iter().map(|field| daemon.process.stat(field).unwrap().parse::<u64>().unwrap()).sum()
}

/// A request with the token on a connection that stays open: who never showed it is the first to go when something runs out.
fn asks_on(stream: &mut TcpStream, daemon: &Daemon) {
    use std::io::{Read as _, Write as _};
    let (host, token) = (daemon.address, daemon.authorization());
    write!(stream, "GET /nothing-here HTTP/1.1\r\nHost: {host}\r\n{token}\r\n\r\n").unwrap();
    let (mut answer, mut block) = (String::new(), [0; 4096]);
    while !answer.ends_with('}') {
        let count = stream.read(&mut block).unwrap();
        assert!(count > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&block[..count]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
}

/// intent#4390, zeroclaw#7042: no descriptor left. The daemon accepts nobody, without spinning; whoever is connected is served;
/// and with descriptors it serves again.
#[test]
fn p5_descriptors_run_out_and_come_back() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let mut connected = send(daemon.address, b"").unwrap();
    asks_on(&mut connected, &daemon);
    set_descriptors(&daemon, 3);
    let waiting: Vec<_> =
        (0..50).map(|_| send(daemon.address, &daemon.request("GET", "/v1/daemon")).unwrap()).collect();
    let (began, before) = (Instant::now(), ticks(&daemon));
    until("two seconds have passed", PROMPT, || (began.elapsed() > Duration::from_secs(2)).then_some(()));
    let used = ticks(&daemon) - before;
    assert!(used < 40, "{used} ticks in 2 s: it spins");
    asks_on(&mut connected, &daemon);
    set_descriptors(&daemon, 1024);
    for mut stream in waiting {
        assert_eq!(read_answer(&mut stream).unwrap().status, 200, "it waited, and was not forgotten");
    }
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
    watches_by(&daemon, "events", "");
}

/// A loss is found without a descriptor.
#[test]
fn p5_a_loss_without_a_descriptor() {
    for (options, take) in [
        (&[][..], (|bench| fs::remove_dir_all(bench.state()).unwrap()) as fn(&Bench)),
        (&["--lock-poll-interval", "1h"], |bench| {
            fs::rename(bench.home(), bench.root().join("moved")).unwrap();
        }),
        (&["--no-lock-events", "--lock-poll-interval", "100ms"], |bench| {
            fs::remove_file(bench.file("daemon.lock")).unwrap();
        }),
    ] {
        let bench = bench!();
        let daemon = bench.start(options);
        set_descriptors(&daemon, 3);
        take(&bench);
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
        assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
    }
}

/// Too few descriptors from the start, at each number: the daemon says why it cannot start, or it serves; and what it could
/// not have for want of descriptors it has once there are some.
#[test]
fn p5_few_descriptors_from_the_start() {
    let started = std::thread::scope(|scope| {
        let starts: Vec<_> = (4..20).map(|count| scope.spawn(move || starts_with(count))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).filter(|started| *started).count()
    });
    assert!((1..16).contains(&started), "{started} of 16 started: neither all nor none are to");
}

/// Whether it started.
fn starts_with(count: u32) -> bool {
    let bench = bench!();
    let script = format!("ulimit -Sn {count} && exec \"$@\"");
    let call = bench.call("/bin/sh").args(["-c", &script, "sh"]).arg(bench.programs().aileron);
    let running = call.args(["daemon", "run"]).start();
    let served = until("it serves, or ends", REARMED, || {
        let ready = fs::read_to_string(bench.file("daemon.pid")).is_ok_and(|pid| pid.ends_with('\n'));
        (ready || !running.process.is_alive()).then_some(ready)
    });
    if !served {
        let outcome = running.finish(PROMPT);
        assert_eq!(outcome.end, End::Status(1), "{count} descriptors: {outcome:#?}");
        assert!(outcome.stderr.contains("Too many open files"), "{count} descriptors: {outcome:#?}");
        return false;
    }
    let daemon = bench.ready(&running);
    set_descriptors(&daemon, 1024);
    watches_by(&daemon, "events", "");
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
    ends_when_the_lock_goes(&bench, &daemon);
    true
}
