//! What a service manager hears, on a socket of the test's own (`sd_notify(3)`).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aileron_tests::{Bench, Call, Daemon, End, PROMPT, Signal, bench, http, until};

/// A service manager, as far as a daemon can see one.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    fn at_path(bench: &Bench) -> Self {
        let path = bench.beside("notify");
        Self::of(UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned())
    }

    fn abstract_one() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("aileron-test-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self::of(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
    }

    fn of(socket: UnixDatagram, name: String) -> Self {
        Self { socket, name }
    }

    /// The next message, or `None` if none comes within this time.
    fn hear(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut bytes = [0; 4096];
        match self.socket.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8(bytes[..length].to_vec()).unwrap()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits for a message with this line.
    fn hears(&self, line: &str) -> String {
        until(&format!("it hears `{line}`"), PROMPT, || {
            self.hear(Duration::from_secs(1)).filter(|said| said.lines().any(|said| said == line))
        })
    }

    fn told(&self, call: Call) -> Call {
        call.env("NOTIFY_SOCKET", &self.name)
    }
}

fn run(bench: &Bench, manager: &Manager) -> Call {
    manager.told(bench.aileron(&["daemon", "run"]))
}

fn says_ready(bench: &Bench, manager: &Manager) {
    let running = run(bench, manager).start();
    let said = manager.hears("READY=1");
    // Now, and not a moment later.
    let record = bench.record();
    assert_eq!(record["pid"], running.process.pid());
    let url = record["url"].as_str().unwrap();
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let answer = http::raw(address, &http::request(address, "GET", "/healthz", &[], "")).unwrap();
    assert_eq!(answer.status, 200);
    assert!(said.lines().any(|line| line == format!("MAINPID={}", running.process.pid())), "{said}");
    assert!(said.lines().any(|line| line == format!("STATUS=serving at {url}")), "{said}");
    running.process.signal(Signal::TERM);
    assert!(manager.hears("STOPPING=1").contains("STATUS=draining: sigterm"));
    assert_eq!(running.process.wait(PROMPT), End::Status(0));
}

#[test]
fn ready_is_said_once_the_record_is_there() {
    let bench = bench!();
    says_ready(&bench, &Manager::at_path(&bench));
    says_ready(&bench, &Manager::abstract_one());
}

/// Done to a bench.
type Step = fn(&Bench);

/// Whatever ends it, with status 0: a unit that is restarted on failure alone does not fight it.
#[test]
fn stopping_is_said_whatever_the_reason_and_the_status_is_0() {
    let ends: [(&str, Step); 3] = [
        ("stop_request", |bench| drop(bench.aileron(&["stop"]).succeed())),
        ("displaced", |bench| fs::remove_dir_all(bench.state()).unwrap()),
        ("idle", |_| {}),
    ];
    for (reason, end) in ends {
        let bench = bench!();
        let manager = Manager::at_path(&bench);
        let call = run(&bench, &manager);
        let running = if reason == "idle" { call.args(["--idle-timeout", "50ms"]) } else { call }.start();
        manager.hears("READY=1");
        end(&bench);
        let said = manager.hears("STOPPING=1");
        assert!(said.contains(&format!("STATUS=draining: {reason}")), "{said}");
        assert_eq!(running.process.wait(PROMPT), End::Status(0), "{reason}");
    }
}

#[test]
fn the_watchdog_is_fed_if_it_is_this_process_that_it_waits_for() {
    let bench = bench!();
    let manager = Manager::at_path(&bench);
    let running = run(&bench, &manager).env("WATCHDOG_USEC", "100000").start();
    for _ in 0..5 {
        assert_eq!(manager.hears("WATCHDOG=1"), "WATCHDOG=1\n");
    }
    running.process.kill();
    running.process.wait(PROMPT);

    let bench = bench!();
    let manager = Manager::at_path(&bench);
    let other = std::process::id().to_string();
    let running = run(&bench, &manager).env("WATCHDOG_USEC", "10000").env("WATCHDOG_PID", other).start();
    manager.hears("READY=1");
    running.process.signal(Signal::TERM);
    let next = manager.hear(PROMPT).unwrap();
    assert!(next.starts_with("STOPPING=1"), "the watchdog of another process is not fed: {next}");
}

/// An embedder with a service manager.
fn service(bench: &Bench, manager: &Manager, watchdog_ms: u64) -> Daemon {
    let call = bench.embedder(bench.programs().service, &["--told"]);
    let micros = (watchdog_ms * 1000).to_string();
    bench.ready(&manager.told(call).env("WATCHDOG_USEC", micros).start())
}

/// sutando#2252: green health, dead task. A handler that blocks the runtime serves nobody, however well the keeper is.
#[test]
fn a_jammed_runtime_does_not_feed_the_watchdog() {
    let bench = bench!();
    let manager = Manager::at_path(&bench);
    let daemon = service(&bench, &manager, 100);
    manager.hears("WATCHDOG=1");
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| daemon.ask("GET", "/block/3000"));
        // Twenty times what is between two messages else.
        until("nothing is said", PROMPT, || manager.hear(Duration::from_secs(1)).is_none().then_some(()));
        assert_eq!(blocked.join().unwrap().unwrap().status, 200);
    });
    manager.hears("WATCHDOG=1");
}

/// With the variable every child could say that the daemon is ready, or stopping.
#[test]
fn a_child_of_the_daemon_has_no_way_to_the_service_manager() {
    let bench = bench!();
    let manager = Manager::at_path(&bench);
    let daemon = service(&bench, &manager, 1_000_000);
    let environment = daemon.ask("GET", "/environment").unwrap().body;
    assert!(environment.contains("HOME="), "{environment}");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        assert!(!environment.contains(name), "{environment}");
    }
}

/// A client in a service (a web server that calls the tool) launches a daemon that is not that service.
#[test]
fn a_daemon_that_a_client_launches_is_nobodys_service() {
    let bench = bench!();
    let manager = Manager::at_path(&bench);
    manager.told(bench.aileron(&["daemon", "start"])).env("WATCHDOG_USEC", "10000").succeed();
    let daemon = bench.daemon();
    let environment = daemon.process.proc("environ");
    assert!(environment.contains("HOME=") && !environment.contains("NOTIFY"), "{environment}");
    manager.told(bench.aileron(&["stop"])).succeed();
    assert_eq!(manager.hear(Duration::from_millis(1)), None);
}

fn serves_and_stops(bench: &Bench, call: Call, when_ready: impl FnOnce()) {
    let running = call.start();
    let daemon = bench.ready(&running);
    when_ready();
    assert_eq!(daemon.ask("GET", "/healthz").unwrap().status, 200);
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}

#[test]
fn a_service_manager_that_is_gone_is_no_reason_to_end() {
    let bench = bench!();
    for name in ["/nowhere/notify", "@nobody-listens-here", "vsock:2:1", "relative", "@", "/"] {
        serves_and_stops(&bench, bench.aileron(&["daemon", "run"]).env("NOTIFY_SOCKET", name), || {});
    }
    let too_long = format!("/{}", "x".repeat(300));
    serves_and_stops(&bench, bench.aileron(&["daemon", "run"]).env("NOTIFY_SOCKET", too_long), || {});
    let manager = Manager::at_path(&bench);
    let call = run(&bench, &manager).env("WATCHDOG_USEC", "10000");
    serves_and_stops(&bench, call, || {
        manager.hears("WATCHDOG=1");
        fs::remove_file(Path::new(&manager.name)).unwrap();
        drop(manager);
    });
}

/// A service manager that hangs must not hang the keeper, which would then miss a displacement.
#[test]
fn a_service_manager_that_does_not_listen_holds_up_nothing() {
    let bench = bench!();
    let manager = Manager::at_path(&bench);
    let daemon = bench.ready(
        &run(&bench, &manager).env("WATCHDOG_USEC", "2000").args(["--lock-poll-interval", "100ms"]).start(),
    );
    // Until its queue (`net.unix.max_dgram_qlen`) is full: then a sender of our own would have to wait.
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    until("its queue is full", PROMPT, || {
        matches!(sender.send_to(b"filler", &manager.name), Err(error) if error.kind() == ErrorKind::WouldBlock)
            .then_some(())
    });
    daemon.three_looks();
    fs::remove_dir_all(bench.state()).unwrap();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert!(daemon.log.events("ended").iter().any(|ended| ended["reason"] == "displaced"));
}
