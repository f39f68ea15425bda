//! Failures 28 and 30: descriptors, processes and watches that ran out.

use aileron_tests::bench;

use crate::scene::Scene;

#[test]
fn limits_that_are_too_low() {
    let bench = bench!();
    let mut scene = Scene::of_lone_user(&bench);
    scene.tell("too few descriptors");
    let most = (5..40).find(|most| {
        let outcome = scene.shell(&format!("ulimit -n {most}; exec aileron --json url")).run();
        outcome.stderr.contains("no descriptor is left")
    });
    let most = most.expect("some number is too low for a client, and not for its program");
    let said = scene
        .sees("ulimit -n [FEW]; aileron url", scene.shell(&format!("ulimit -n {most}; exec aileron url")))
        .is(1);
    assert!(said.advice().contains("ulimit -n"));
    scene.tell("no process is left to this user");
    scene.types("prlimit --nproc=0 aileron url").is(1);
    scene.tell("files may not grow");
    scene.types("ulimit -f 0; exec aileron url");
    scene.types("aileron stop").is(0);
    scene.tell("without file events");
    scene.types("aileron daemon start --no-lock-events").is(0);
    scene.doctor(&["watcher"]);
    scene.types("aileron stop").is(0);
    scene.keep("limits_that_are_too_low");
}
