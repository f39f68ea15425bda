//! Failure 5: versions that differ after an upgrade.

use aileron_tests::http::send;
use aileron_tests::{PROMPT, bench, until};

use crate::scene::Scene;

#[test]
fn versions_that_differ() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let newer = bench.service(&["--as-version", "99.0.0"]);
    scene.tell("a newer daemon runs");
    scene.types("aileron url").is(6);
    scene.types("aileron --json url").is(6);
    scene.types("aileron --state-dir ~/own url").is(0);
    scene.types("aileron --state-dir ~/own stop").is(0);
    scene.types("aileron stop").is(0);
    newer.process.wait(PROMPT);
    let older = bench.service(&["--as-version", "0.0.1", "--drain", "100"]);
    let hanging = send(older.address, &older.request("GET", "/hang/60000")).unwrap();
    until("the request is in flight", PROMPT, || (older.view()["in_flight"] == 1).then_some(()));
    scene.tell("an older one runs and is busy");
    let said = scene.types("aileron url").is(6);
    scene.types("AILERON_NO_AUTOSTART=1 aileron url").is(6);
    scene.types("AILERON_NO_AUTOSTART=1 aileron daemon start").is(6);
    scene.follows(&said, 0).is(0);
    scene.is_well();
    scene.types("aileron stop").is(0);
    drop(hanging);
    let older = bench.service(&["--as-version", "0.0.1"]);
    scene.tell("an older one runs and is idle: it is replaced, and that is said");
    scene.types("aileron url").is(0);
    older.process.wait(PROMPT);
    scene.types("aileron stop").is(0);
    scene.keep("versions_that_differ");
}
