//! Failures 3, 12, 19 and 31: what was left behind is in nobody's way, and a daemon that breaks says so.

use std::fs;

use aileron_tests::{PROMPT, Stranger, bench};

use crate::scene::{Scene, killed, write_record};

const VERBOSE: &str = "aileron -v url 2>&1 | sed 's/in [0-9]* ms/in [N] ms/'";

#[test]
fn what_a_killed_daemon_leaves() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let record = killed(&bench);
    scene.tell("the daemon was killed");
    scene.status("not_running");
    scene.types("aileron stop --force").is(0);
    write_record(&bench, &record);
    scene.types(VERBOSE).is(0);
    let daemon = bench.daemon();
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    scene.tell("its pid has become somebody else's");
    let stranger = bench.call("/usr/bin/sleep").arg("600").start();
    let mut other = daemon.record.clone();
    other["pid"] = stranger.process.pid().into();
    write_record(&bench, &other);
    scene.types("aileron stop --force").is(0);
    write_record(&bench, &other);
    scene.types(VERBOSE).is(0);
    assert!(stranger.process.is_alive());
    let daemon = bench.daemon();
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    scene.tell("its port has become somebody else's");
    let stranger = Stranger::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut other = daemon.record.clone();
    other["url"] = format!("http://{}", stranger.address).into();
    write_record(&bench, &other);
    scene.types(VERBOSE).is(0);
    scene.keep("what_a_killed_daemon_leaves");
}

/// A task without which the daemon is of no use ends: the process ends with it, with an error.
#[test]
fn a_daemon_that_breaks() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let running = bench.embedder(bench.programs().service, &[]).start();
    let daemon = bench.ready(&running);
    daemon.ask("POST", "/vital-after/0").unwrap();
    running.process.wait(PROMPT);
    scene.tell("a vital task of the daemon has ended");
    scene.types("aileron daemon logs | cut -d' ' -f2- | grep -v ready | sed 's/^ *//'").is(0);
    let exit = fs::read_to_string(bench.file("daemon.exit.json")).unwrap();
    assert!(exit.contains("vital"), "{exit}");
    scene.is_well();
    scene.keep("daemon_that_breaks");
}
