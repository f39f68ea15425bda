//! Failures 11 and 31: what a request is told that comes from elsewhere, without the token, or too late.

use std::fs;

use aileron_tests::{Daemon, bench, http};

use crate::scene::Scene;

#[test]
fn requests_that_are_refused() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    let daemon = bench.service(&["--no-lock-events", "--poll", "3600000"]);
    let token = daemon.authorization();
    let ask = |scene: &mut Scene<'_>, what: &str, method: &str, path: &str, headers: &[&str]| {
        scene.tell(what);
        scene.asks(&daemon, method, path, headers);
    };
    ask(&mut scene, "without the token", "GET", "/v1/daemon", &[]);
    ask(&mut scene, "with another token", "GET", "/v1/daemon", &["Authorization: Bearer 0000"]);
    ask(&mut scene, "from a web page", "GET", "/v1/daemon", &[&token, "Origin: https://example.org"]);
    ask(&mut scene, "from a page of another site", "GET", "/healthz", &["Sec-Fetch-Site: cross-site"]);
    ask(&mut scene, "with the wrong method", "GET", "/v1/daemon/stop", &[&token]);
    ask(&mut scene, "where nothing is", "GET", "/nowhere", &[&token]);
    ask(&mut scene, "of a handler that panics", "GET", "/panic", &[&token]);
    scene.tell("by another name of this machine");
    scene.asked("GET /v1/daemon, Host: rebound.example", &by_another_name(&daemon));
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    ask(&mut scene, "of a daemon whose lock was deleted", "POST", "/count", &[&token]);
    scene.keep("requests_that_are_refused");
}

fn by_another_name(daemon: &Daemon) -> http::Answer {
    let authorization = daemon.authorization();
    let text = format!(
        "GET /v1/daemon HTTP/1.1\r\nHost: rebound.example\r\n{authorization}\r\nConnection: close\r\n\r\n"
    );
    http::raw(daemon.address, text.as_bytes()).unwrap()
}
