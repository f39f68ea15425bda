//! Failures 4, 8 and 23: a daemon that cannot start, and the cause that is told.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use aileron_tests::{Bench, PROMPT, bench, lock_file, set_mode, until};

use crate::scene::{Said, Scene};

#[test]
fn a_port_that_is_taken() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    scene.tell("something else listens on the port that was asked for");
    scene.types(&format!("AILERON_BIND={address} aileron url")).is(1);
    scene.types(&format!("AILERON_BIND={address} aileron --json url")).is(1);
    scene.types(&format!("aileron daemon run --check --bind {address}")).is(1);
    let said = scene.types(&format!("aileron daemon start --bind {address}")).is(1);
    let option = said.commands()[1].clone();
    scene.types(&format!("aileron daemon start {option}")).is(0);
    scene.types("aileron stop").is(0);
    scene.tell("an address that is nobody's here");
    scene.types("aileron daemon run --bind [::2]:0").is(2);
    scene.keep("port_that_is_taken");
}

/// A name of its own for the product, whose file can be replaced.
pub(crate) fn install(bench: &Bench) {
    let copy = bench.beside("bin/aileron");
    if copy.exists() {
        fs::remove_file(&copy).unwrap();
    }
    if fs::hard_link(bench.programs().aileron, &copy).is_err() {
        bench.call("/bin/cp").arg(bench.programs().aileron).arg(&copy).succeed();
    }
}

/// Puts a file in the place of the product, at once; `None` takes it away.
pub(crate) fn exchange(bench: &Bench, content: Option<(&str, u32)>) {
    let copy = bench.beside("bin/aileron");
    match content {
        None => fs::remove_file(copy).unwrap(),
        Some((content, mode)) => {
            let fresh = bench.beside("fresh");
            fs::write(&fresh, content).unwrap();
            set_mode(&fresh, mode);
            fs::rename(&fresh, &copy).unwrap();
        }
    }
}

/// `aileron url` by a program that is exchanged before it launches itself, while it waits at the gate.
fn launching(scene: &mut Scene<'_>, bench: &Bench, line: &str, content: Option<(&str, u32)>) -> Said {
    install(bench);
    let gate = lock_file(&bench.file("start.lock"));
    let client = scene.shell(&format!("exec {line}")).start();
    until("the client waits at the gate", PROMPT, || {
        let switches = client.process.status_line("voluntary_ctxt_switches").parse::<u32>().unwrap_or(0);
        (switches > 10).then_some(())
    });
    exchange(bench, content);
    drop(gate);
    let outcome = client.finish(Duration::from_secs(40));
    scene.heard(line, outcome)
}

#[test]
fn a_program_that_does_not_come_up() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    bench.make_state();
    let cases = [
        (
            "it says something and exits",
            Some(("#!/bin/sh\necho 'the disk is on fire' >&2; exit 42\n", 0o755)),
        ),
        ("it exits without a word", Some(("#!/bin/sh\nexit 0\n", 0o755))),
        ("it is killed", Some(("#!/bin/sh\nkill -9 $$\n", 0o755))),
        ("it was uninstalled", None),
        ("it may not be executed", Some(("", 0o644))),
        ("it is no program", Some(("junk", 0o755))),
    ];
    for (what, content) in cases {
        scene.tell(what);
        launching(&mut scene, &bench, "aileron url", content).is(1);
    }
    scene.tell("as a document");
    let dying = Some(("#!/bin/sh\necho 'the disk is on fire' >&2; exit 42\n", 0o755));
    launching(&mut scene, &bench, "aileron --json url", dying).is(1);
    scene.tell("it is stopped before it is ready");
    let stopped = format!("#!/bin/sh\necho $$ > {}; kill -STOP $$\n", bench.beside("pid").display());
    launching(&mut scene, &bench, "aileron --timeout 2s url", Some((&stopped, 0o755))).is(9);
    keep_stopped(&bench, &bench.beside("pid"));
    scene.tell("installed again");
    install(&bench);
    scene.is_well();
    scene.keep("program_that_does_not_come_up");
}

/// Ends with the bench what stopped itself.
fn keep_stopped(bench: &Bench, file: &Path) {
    let pid = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let process = std::sync::Arc::new(aileron_tests::Process::open(pid).expect("it was left alone"));
    bench.keep(&process);
    process.kill();
    process.wait(PROMPT);
}
