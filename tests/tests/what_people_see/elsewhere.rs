//! Failure 9: containers, namespaces, and a home that hosts share.

use std::fs;

use aileron_tests::{PROMPT, bench, until};

use crate::scene::{Scene, holder_of, killed, write_record};

/// The lock is held, by somebody of whom this machine knows nothing: on a file server, the daemon of another host.
#[test]
fn a_daemon_on_another_host_or_boot() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let record = killed(&bench);
    let holder = holder_of(&bench, &bench.file("daemon.lock"));
    let mut other = record.clone();
    other["process"]["boot_id"] = "another".into();
    scene.tell("the record is of another boot of this host");
    write_record(&bench, &other);
    scene.types("aileron --timeout 1s url").is(5);
    scene.status("elsewhere");
    scene.tell("the record is of another host");
    other["host"] = "lighthouse".into();
    write_record(&bench, &other);
    scene.types("aileron --timeout 1s url").is(5);
    scene.types("aileron --timeout 1s --json url").is(5);
    scene.status("elsewhere");
    scene.types("aileron --timeout 1s stop").is(4);
    scene.doctor(&["place"]);
    scene.tell("another directory here");
    scene.types("aileron --state-dir ~/here url").is(0);
    scene.types("aileron --state-dir ~/here stop").is(0);
    scene.tell("nobody holds the lock: what is left of another host is stale");
    holder.process.kill();
    holder.process.wait(PROMPT);
    scene.is_well();
    scene.keep("daemon_on_another_host");
}

/// A container that shares the home and has a network of its own.
#[test]
fn a_daemon_in_a_container() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let call =
        bench.call("/usr/bin/unshare").args(["--pid", "--net", "--fork", "--mount-proc", "--kill-child"]);
    let script = "ip link set lo up 2>/dev/null; exec \"$@\"";
    let call = call.args(["/bin/sh", "-c", script, "sh"]).arg(bench.programs().aileron);
    let unshare = call.arg("--state-dir").arg(bench.state()).args(["daemon", "run"]).start();
    until("it is ready", PROMPT, || bench.file("daemon.pid").exists().then_some(()));
    let inside = fs::read_to_string(bench.file("daemon.pid")).unwrap();
    assert!(inside.trim().len() < 3, "a pid of the container: {inside}");
    scene.tell("the daemon is in a container with a network of its own");
    scene.types("aileron --timeout 2s url").is(5);
    scene.status("elsewhere");
    scene.types("aileron --timeout 3s stop --force").is(4);
    assert!(unshare.process.is_alive());
    scene.keep("daemon_in_a_container");
}
