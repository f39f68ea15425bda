//! Failure 21: a sandbox without `/proc`. Finding and asking take nothing from there; what does says so.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::path::Path;

use aileron_tests::http::{read_answer, send};
use aileron_tests::{End, Mount, PROMPT, bench, in_own_mounts, set_mode, until};

/// An empty `/proc` over the daemon's clients, and not over the daemon.
#[test]
fn p6_a_daemon_is_found_and_stopped_without_proc() {
    in_own_mounts(|| {
        let bench = bench!();
        let daemon = bench.start(&[]);
        let mount = Mount::tmpfs(Path::new("/proc"), "");
        let url = bench.aileron(&["url"]).run();
        let status = bench.aileron(&["--json", "daemon", "status"]).run();
        let stop = bench.aileron(&["stop"]).run();
        let again = bench.aileron(&["stop"]).run();
        mount.detach();
        assert_eq!(url.stdout.trim(), daemon.url(), "{url:?}");
        assert_eq!(status.json()["state"], "running", "{status:?}");
        assert_eq!(stop.end, End::Status(0), "{stop:?}");
        assert!(!daemon.process.is_alive(), "{stop:?}");
        assert_eq!(again.end, End::Status(0), "{again:?}");
    });
}

/// A launch names its own program, which only `/proc` tells: it fails, at once, in one sentence that names `/proc`. A daemon in
/// the foreground needs nothing of it, but is told less of what happens.
#[test]
fn p8_a_launch_without_proc_names_it() {
    in_own_mounts(|| {
        let bench = bench!();
        let mount = Mount::tmpfs(Path::new("/proc"), "");
        let url = bench.aileron(&["url"]).run();
        let running = bench.aileron(&["daemon", "run"]).start();
        let ready = until("it is ready", PROMPT, || std::fs::read(bench.file("daemon.pid")).ok());
        let found = bench.aileron(&["url"]).run();
        let stop = bench.aileron(&["stop"]).run();
        mount.detach();
        assert_eq!(url.end, End::Status(1), "{url:?}");
        assert!(url.stderr.contains("/proc"), "{url:?}");
        assert!(!ready.is_empty() && found.stdout.starts_with("http://127.0.0.1:"), "{found:?}");
        assert_eq!(stop.end, End::Status(0), "{stop:?}");
        assert!(running.process.ends_within(PROMPT));
    });
}

/// P13: its port closes when its drain begins. Where neither the process nor the lock may be looked at, nobody can say that it has
/// ended, and so nobody says it.
#[test]
fn p13_a_closed_port_alone_is_no_end() {
    in_own_mounts(|| {
        let bench = bench!();
        let user = bench.lone_user();
        let running = bench.embedder(bench.programs().service, &[]).user(user).start();
        let daemon = bench.ready(&running);
        let mut in_flight = send(daemon.address, &daemon.request("GET", "/hang/3000")).unwrap();
        until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
        set_mode(&bench.file("daemon.lock"), 0o000);
        let mount = Mount::tmpfs(Path::new("/proc"), "");
        let stop = bench.aileron(&["--json", "stop"]).user(user).run();
        let lived = daemon.process.is_alive();
        mount.detach();
        assert!(lived, "it was to be draining still: {stop:?}");
        assert_eq!(stop.end, End::Status(1), "{stop:?}");
        let error = stop.error();
        assert_eq!(error["kind"], "unseen", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("process") && message.contains("lock"), "{error}");
        assert_eq!(error["path"], bench.file("daemon.lock").to_str().unwrap());
        assert_eq!(read_answer(&mut in_flight).unwrap().body, "done");
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "it had taken the request");
    });
}
