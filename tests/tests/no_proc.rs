//! Failure 21: a sandbox without `/proc`. Finding and asking take nothing from there; what does says so.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::path::Path;

use aileron_tests::{End, Mount, PROMPT, bench, in_own_mounts, until};

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
