//! Failures 2, 10 and 30: alive and not serving, or busy and taken for dead.

use std::time::Duration;

use aileron_tests::http::send;
use aileron_tests::{PROMPT, bench, until};
use rustix::process::{Pid, Resource, Rlimit};

use crate::scene::Scene;

#[test]
fn a_daemon_that_is_stopped_by_a_signal() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let daemon = bench.start(&[]);
    daemon.process.freeze();
    scene.tell("the daemon was stopped (SIGSTOP)");
    let said = scene.types("aileron --timeout 1s url").is(4);
    scene.types("aileron --timeout 1s --json url").is(4);
    scene.types("aileron --timeout 1s daemon start").is(4);
    scene.status("unresponsive");
    scene.types("aileron --timeout 3s stop").is(1);
    daemon.process.freeze();
    scene.types("aileron --timeout 3s daemon restart").is(1);
    scene.types("aileron daemon run").is(7);
    scene.doctor(&["lock", "handshake"]);
    scene.tell("the first advice: it goes on; it had been told to end meanwhile");
    scene.follows(&said, 0).is(0);
    daemon.process.wait(PROMPT);
    let again = scene.is_well();
    again.process.freeze();
    scene.tell("the second advice: it is ended");
    let said = scene.types("aileron --timeout 1s url").is(4);
    scene.types(&said.commands()[1].replace("aileron", "aileron --timeout 3s")).is(0);
    again.process.wait(PROMPT);
    scene.is_well();
    scene.keep("daemon_that_is_stopped");
}

/// The runtime's thread is kept by a handler: the lock is held, nobody answers, and nothing is wrong with the process.
#[test]
fn a_daemon_that_hangs() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let daemon = bench.service(&["--drain", "500"]);
    let _blocking = send(daemon.address, &daemon.request("GET", "/block/60000")).unwrap();
    until("the runtime is blocked", PROMPT, || {
        let stream = send(daemon.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        std::io::Read::read(&mut &stream, &mut [0; 16]).is_err().then_some(())
    });
    scene.tell("a handler keeps the daemon's only thread");
    scene.types("aileron --timeout 1s url").is(4);
    scene.status("unresponsive");
    scene.types("aileron stop").is(0);
    scene.keep("daemon_that_hangs");
}

/// Without a descriptor it accepts nobody.
#[test]
fn a_daemon_without_descriptors() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let daemon = bench.start(&[]);
    let limit = |current| {
        let pid = Pid::from_raw(daemon.process.pid().try_into().unwrap());
        let limits = Rlimit { current: Some(current), maximum: Some(4096) };
        rustix::process::prlimit(pid, Resource::Nofile, limits).unwrap();
    };
    limit(3);
    scene.tell("the daemon has no descriptor left");
    scene.types("aileron --timeout 1s url").is(4);
    limit(1024);
    scene.is_well();
    scene.keep("daemon_without_descriptors");
}

/// Failure 2: slow is not dead, and nothing is ended for it.
#[test]
fn a_start_that_takes_long() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let program = bench.named(bench.programs().slow, "helper-daemon");
    let go = bench.beside("count");
    let running = bench.embedder(&program, &["--init", "6000", "--count"]).arg(&go).start();
    until("it has the lock", PROMPT, || {
        let line = "aileron --json daemon status";
        scene.shell(line).run().stdout.contains("\"starting\"").then_some(())
    });
    scene.tell("a daemon needs some seconds for its start");
    scene.status("starting");
    scene.types("aileron --timeout 500ms url").is(9);
    scene.types("aileron --timeout 500ms --json url").is(9);
    scene.types("aileron daemon run").is(7);
    scene.tell("with more time");
    scene.types("aileron --timeout 60s url").is(0);
    assert!(running.process.is_alive(), "it was left alone");
    scene.keep("start_that_takes_long");
}
