//! Failures 13, 17, 33 and 34: `stop` that is none, `restart` that ends the good one, and daemons that nobody wants.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use aileron_tests::http::{read_answer, send};
use aileron_tests::{Mount, PROMPT, bench, in_own_mounts, set_mode, until};

use crate::launches::{exchange, install};
use crate::scene::Scene;

#[test]
fn starts_that_are_held_back() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    bench.start(&[]);
    scene.tell("`stop --hold`");
    scene.types("aileron stop --hold").is(0);
    let said = scene.types("aileron url").is(8);
    scene.types("aileron --json url").is(8);
    scene.status("not_running");
    scene.doctor(&["hold"]);
    scene.follows(&said, 0).is(0);
    scene.types("aileron stop").is(0);
    scene.tell("a variable turns automatic starts off");
    let said = scene.types("AILERON_NO_AUTOSTART=1 aileron url").is(8);
    scene.types("AILERON_NO_AUTOSTART=1 aileron --json url").is(8);
    let start = said.commands()[0].clone();
    scene.types(&format!("AILERON_NO_AUTOSTART=1 {start}")).is(0);
    scene.types("AILERON_NO_AUTOSTART=1 aileron url").is(0);
    scene.types("aileron stop").is(0);
    scene.keep("starts_that_are_held_back");
}

#[test]
fn nothing_there_to_stop_or_to_read() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    scene.tell("none has ever run");
    scene.types("aileron stop").is(0);
    let said = scene.types("aileron daemon logs").is(3);
    scene.types("aileron --json daemon logs").is(3);
    scene.status("not_running");
    scene.follows(&said, 0).is(0);
    scene.tell("one runs already");
    let said = scene.types("aileron daemon run").is(7);
    scene.types("aileron --json daemon run").is(7);
    scene.follows(&said, 1).is(0);
    scene.keep("nothing_there");
}

#[test]
fn an_address_that_was_given() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    scene.tell("AILERON_API_URL names somebody else's daemon");
    for command in ["daemon start", "daemon restart", "stop --force"] {
        scene.types(&format!("AILERON_API_URL=http://127.0.0.1:1 aileron {command}")).is(2);
    }
    scene.types("AILERON_API_URL=http://127.0.0.1:1 aileron --json stop").is(2);
    scene.types("AILERON_API_URL=http://127.0.0.1:1 aileron url").is(0);
    scene.is_well();
    scene.keep("address_that_was_given");
}

/// Neither the process nor the lock can be looked at, and the daemon still drains.
#[test]
fn an_end_that_nobody_can_see() {
    in_own_mounts(|| {
        let bench = bench!();
        let user = bench.lone_user();
        let mut scene = Scene::of_user(&bench, user);
        let running = bench.embedder(bench.programs().service, &[]).user(user).start();
        let daemon = bench.ready(&running);
        let mut in_flight = send(daemon.address, &daemon.request("GET", "/hang/3000")).unwrap();
        until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
        set_mode(&bench.file("daemon.lock"), 0o000);
        let mount = Mount::tmpfs(Path::new("/proc"), "");
        scene.tell("there is no /proc, and the lock has lost its permission bits");
        scene.types("aileron stop").is(1);
        mount.detach();
        assert_eq!(read_answer(&mut in_flight).unwrap().body, "done");
        daemon.process.wait(PROMPT);
        set_mode(&bench.file("daemon.lock"), 0o600);
        scene.tell("both as they were");
        scene.types("aileron stop").is(0);
        scene.is_well();
        scene.types("aileron stop").is(0);
        scene.keep("end_that_nobody_can_see");
    });
}

/// Somebody still waits for an answer.
#[test]
fn a_daemon_that_takes_its_time_to_end() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let daemon = bench.service(&["--drain", "60000"]);
    let _hanging = send(daemon.address, &daemon.request("GET", "/hang/60000")).unwrap();
    until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    scene.tell("a request is in flight");
    scene.types("aileron --timeout 1s stop").is(1);
    scene.types("aileron --timeout 1s --json stop").is(1);
    scene.types("aileron --timeout 1s daemon stop --force").is(0);
    daemon.process.wait(PROMPT);
    let daemon = bench.service(&["--drain", "60000"]);
    let _hanging = send(daemon.address, &daemon.request("GET", "/hang/60000")).unwrap();
    until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    scene.types("aileron --timeout 1s daemon restart").is(1);
    scene.types("aileron --timeout 1s daemon restart --force").is(0);
    daemon.process.wait(PROMPT);
    scene.is_well();
    scene.keep("daemon_that_takes_its_time_to_end");
}

/// A new one that cannot start does not cost the old one.
#[test]
fn a_restart_that_would_fail() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let old = bench.start(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    scene.tell("the new one could not listen");
    scene.types(&format!("aileron daemon restart --bind {address}")).is(1);
    scene.types(&format!("aileron --json daemon restart --bind {address}")).is(1);
    scene.tell("the old one serves on");
    let url = scene.types("aileron url").is(0).0.stdout;
    assert_eq!(url.trim(), old.url());
    scene.types("aileron daemon restart").is(0);
    old.process.wait(PROMPT);
    scene.keep("restart_that_would_fail");
}

/// The program is exchanged between its check and its launch, while the old one drains.
#[test]
fn a_restart_after_which_there_is_none() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    install(&bench);
    let old = bench.service(&[]);
    let _hanging = send(old.address, &old.request("GET", "/hang/3000")).unwrap();
    until("the request is in flight", PROMPT, || (old.view()["in_flight"] == 1).then_some(()));
    let restart = scene.shell("exec aileron daemon restart").start();
    old.log.wait_for("draining", 3 * PROMPT);
    exchange(&bench, Some(("#!/bin/sh\necho 'the disk is on fire' >&2; exit 42\n", 0o755)));
    let outcome = restart.finish(Duration::from_mins(1));
    scene.tell("the program was replaced by one that fails, after it was checked");
    let said = scene.heard("aileron daemon restart", outcome).is(1);
    assert!(said.advice().contains("`aileron daemon start`"), "{}", said.advice());
    install(&bench);
    scene.tell("mended");
    scene.types("aileron daemon start").is(0);
    scene.keep("restart_after_which_there_is_none");
}

/// Who waits for the port has it as soon as the daemon stops listening, and keeps it.
#[test]
fn a_port_that_is_open_after_the_end() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let daemon = bench.service(&[]);
    let _hanging = send(daemon.address, &daemon.request("GET", "/hang/2000")).unwrap();
    until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    let stop = scene.shell("exec aileron --timeout 5s stop").start();
    let taken = until("the port is free", 3 * PROMPT, || TcpListener::bind(daemon.address).ok());
    let outcome = stop.finish(Duration::from_secs(40));
    scene.tell("somebody silent has taken the port of a daemon that was leaving");
    scene.heard("aileron --timeout 5s stop", outcome).is(1);
    drop(taken);
    scene.types("aileron stop").is(0);
    scene.is_well();
    scene.keep("port_that_is_open_after_the_end");
}
