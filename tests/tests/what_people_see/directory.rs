//! Failures 21 and 26: a state directory that cannot be used, and the advice that makes it usable.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use aileron_tests::{Mount, PROMPT, bench, in_own_mounts, set_mode};

use crate::scene::Scene;

#[test]
fn a_directory_that_is_none() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    scene.tell("a file stands at the path");
    fs::write(bench.state(), "").unwrap();
    let said = scene.types("aileron url").is(1);
    scene.types("aileron --json url").is(1);
    scene.follows(&said, 0).is(0);
    scene.is_well();
    scene.types("aileron stop").is(0);

    scene.tell("it is a symlink");
    let real = bench.beside("real");
    fs::rename(bench.state(), &real).unwrap();
    symlink("real", bench.state()).unwrap();
    let said = scene.types("aileron url").is(1);
    let option = said.commands()[0].clone();
    scene.types(&format!("aileron {option} url")).is(0);
    scene.types(&format!("aileron {option} stop")).is(0);

    scene.tell("it is a symlink that leads nowhere");
    fs::remove_dir_all(&real).unwrap();
    scene.types("aileron url").is(1);
    scene.types("rm ~/.aileron").is(0);
    scene.is_well();
    scene.types("aileron stop").is(0);

    scene.tell("a path that has to be quoted");
    fs::write(bench.beside("it's mine"), "").unwrap();
    let said = scene.types("aileron --state-dir \"$HOME/it's mine\" url").is(1);
    scene.follows(&said, 0).is(0);
    scene.types("aileron --state-dir \"$HOME/it's mine\" url").is(0);
    scene.types("aileron --state-dir \"$HOME/it's mine\" stop").is(0);
    scene.keep("directory_that_is_none");
}

#[test]
fn a_directory_of_others() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    scene.tell("others may write in it");
    bench.make_state();
    set_mode(&bench.state(), 0o777);
    let said = scene.types("aileron url").is(1);
    scene.follows(&said, 0).is(0);
    scene.is_well();
    scene.types("aileron stop").is(0);

    scene.tell("others may read it: it is tightened, and that is said");
    set_mode(&bench.state(), 0o755);
    scene.types("aileron url").is(0);
    scene.types("aileron stop").is(0);

    scene.tell("it is another user's, as after `sudo aileron`");
    let user = bench.lone_user();
    let as_user = |line: &str| Scene::of(&bench).shell(line).user(user);
    scene.sees("aileron url", as_user("aileron url")).is(1);
    scene.tell("and the other way round: root in a user's directory");
    chown(bench.state(), Some(user), Some(user)).unwrap();
    scene.types("aileron url").is(1);
    scene.types("aileron daemon status").is(1);
    scene.types("aileron --state-dir ~/mine url").is(0);
    scene.types("aileron --state-dir ~/mine stop").is(0);
    scene.keep("directory_of_others");
}

#[test]
fn a_directory_that_cannot_be_made() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let user = bench.lone_user();
    chown(bench.home(), Some(0), Some(0)).unwrap();
    scene.tell("the home is somebody else's");
    for line in ["aileron url", "aileron daemon run", "aileron --state-dir /proc/aileron url"] {
        scene.sees(line, Scene::of(&bench).shell(line).user(user)).is(1);
    }
    scene.tell("nothing says where it would be");
    for line in ["aileron url", "aileron daemon status", "aileron stop"] {
        scene.sees(line, Scene::of(&bench).shell(line).env_remove("HOME"));
    }
    scene.tell("a file on the way, and a name that is too long");
    fs::write(bench.beside("file"), "").unwrap();
    scene.types("aileron --state-dir ~/file/state url").is(1);
    scene.types("aileron --state-dir ~/$(printf '%0300d' 0) url").is(1);
    scene.keep("directory_that_cannot_be_made");
}

/// A home that was remounted read-only: what runs is found, what would have to be written is refused.
#[test]
fn a_directory_that_is_read_only() {
    in_own_mounts(|| {
        let bench = bench!();
        let mut scene = Scene::of(&bench);
        scene.tell("a daemon runs, and the home is read-only for this client");
        let daemon = bench.start(&[]);
        let mount = Mount::bind(bench.home(), bench.home());
        mount.read_only().unwrap();
        scene.types("aileron url").is(0);
        scene.tell("none runs any more");
        daemon.process.kill();
        daemon.process.wait(PROMPT);
        scene.types("aileron stop").is(0);
        scene.tell("and none ever ran");
        scene.types("aileron --state-dir ~/new url").is(1);
        let elsewhere = bench.root().join("elsewhere");
        scene.types(&format!("aileron --state-dir {} url", elsewhere.display())).is(0);
        scene.types(&format!("aileron --state-dir {} stop", elsewhere.display())).is(0);
        mount.detach();
        scene.keep("directory_that_is_read_only");
    });
}
