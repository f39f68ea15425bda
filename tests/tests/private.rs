//! P12 and failure 11: web pages, other users and the token.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use aileron_tests::http::{raw, request};
use aileron_tests::{Bench, Call, Daemon, PROMPT, Signal, Stranger, bench, put_fifo, until};

/// Every route there is, and one that is not.
const ROUTES: [(&str, &str); 7] = [
    ("GET", "/healthz"),
    ("POST", "/v1/handshake"),
    ("GET", "/v1/daemon"),
    ("POST", "/v1/daemon/stop"),
    ("GET", "/v1/daemon/events"),
    ("POST", "/echo"),
    ("GET", "/no-such-route"),
];

const NONCE: &str = r#"{"nonce":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}"#;

fn status(daemon: &Daemon, method: &str, path: &str, headers: &[&str]) -> u16 {
    raw(daemon.address, &request(daemon.address, method, path, headers, NONCE)).unwrap().status
}

/// CVE-2025-49596, transmission#468 (DNS rebinding): a page has its own name resolved to 127.0.0.1, or posts across sites. The
/// browser says so in headers that no page can change; with or without a token, on every path, it is refused.
#[test]
fn p12_foreign_pages_are_refused_on_every_path() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    let token = daemon.authorization();
    let foreign = [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://localhost:1",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ];
    for (method, path) in ROUTES {
        for header in foreign {
            assert_eq!(status(&daemon, method, path, &[header]), 403, "{method} {path}, {header}");
            assert_eq!(
                status(&daemon, method, path, &[header, &token]),
                403,
                "{method} {path}, {header}, with the token"
            );
        }
        for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example"] {
            let text = format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{token}\r\nContent-Length: 0\r\n\r\n"
            );
            assert_eq!(
                raw(daemon.address, text.as_bytes()).unwrap().status,
                403,
                "{method} {path}, Host: {host}"
            );
        }
        let nameless =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{token}\r\nContent-Length: 0\r\n\r\n");
        assert!(
            matches!(raw(daemon.address, nameless.as_bytes()).unwrap().status, 400 | 403),
            "{method} {path}, no Host"
        );
    }
    assert!(daemon.process.is_alive() && daemon.log.events("draining").is_empty(), "no stop got through");
}

/// No token, half a token, a wrong one, one in the wrong place, two: 401 wherever a token is asked for, and nowhere else.
#[test]
fn p12_the_token_is_asked_for() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    let wrong = [
        String::new(),
        "Authorization: Bearer ".to_owned(),
        format!("Authorization: Bearer {}", &daemon.token[..63]),
        format!("Authorization: Bearer {}0", daemon.token),
        format!("Authorization: Bearer {}", "0".repeat(64)),
        format!("Authorization: Basic {}", daemon.token),
        format!("X-Token: {}", daemon.token),
        format!("{0}\r\n{0}", daemon.authorization()),
    ];
    for (method, path) in ROUTES {
        for header in &wrong {
            let headers: Vec<&str> =
                [header.as_str()].into_iter().filter(|header| !header.is_empty()).collect();
            let expected = if matches!(path, "/healthz" | "/v1/handshake") { 200 } else { 401 };
            assert_eq!(status(&daemon, method, path, &headers), expected, "{method} {path}, {header:?}");
        }
    }
    let in_url = format!("/v1/daemon?token={}", daemon.token);
    assert_eq!(status(&daemon, "GET", &in_url, &[]), 401);
    assert!(daemon.process.is_alive() && daemon.log.events("draining").is_empty(), "no stop got through");
}

/// A state-changing `GET` is what a picture on a page can do.
#[test]
fn p12_wrong_methods_change_nothing() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    let token = daemon.authorization();
    for (path, right) in [
        ("/healthz", "GET"),
        ("/v1/handshake", "POST"),
        ("/v1/daemon", "GET"),
        ("/v1/daemon/stop", "POST"),
        ("/v1/daemon/events", "GET"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if method == right {
                continue;
            }
            let answer = raw(daemon.address, &request(daemon.address, method, path, &[&token], "")).unwrap();
            assert_eq!(answer.status, 405, "{method} {path}");
            let head = answer.head.to_lowercase();
            assert!(!head.contains("access-control-"), "no CORS grant: {head}");
            assert!(head.contains("application/problem+json"), "{head}");
        }
    }
    assert!(daemon.process.is_alive() && daemon.log.events("draining").is_empty());
}

/// muninndb#178: the token in the process table, the log, the output of every command.
#[test]
fn p12_the_token_is_in_the_record_alone() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let secret = &daemon.token;
    assert!(fs::read_to_string(bench.file("daemon.json")).unwrap().contains(secret));
    assert!(
        !daemon.process.proc("cmdline").contains(secret) && !daemon.process.proc("environ").contains(secret)
    );
    for args in [
        &["url", "-v"][..],
        &["--json", "url"],
        &["daemon", "status", "-v"],
        &["daemon", "status", "--json"],
        &["daemon", "logs"],
        &["daemon", "run"],
        &["daemon", "stop", "--json", "-v"],
    ] {
        let outcome = bench.aileron(args).env("AILERON_LOG", "trace").run();
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{args:?}");
    }
    for entry in fs::read_dir(bench.state()).unwrap() {
        let path = entry.unwrap().path();
        assert!(!fs::read_to_string(&path).unwrap().contains(secret), "{}", path.display());
    }
}

/// The most talkative log says nothing of it either.
#[test]
fn p12_the_token_is_not_logged_at_any_level() {
    let bench = bench!();
    bench.aileron(&["url"]).env("AILERON_LOG", "trace").succeed();
    let daemon = bench.daemon();
    assert_eq!(daemon.ask("GET", "/v1/daemon").unwrap().status, 200);
    assert_eq!(
        status(&daemon, "POST", "/v1/daemon/stop", &["Origin: http://evil.example", &daemon.authorization()]),
        403
    );
    daemon.process.signal(Signal::TERM);
    daemon.process.wait(PROMPT);
    assert!(!daemon.log.text().contains(&daemon.token));
}

/// Whatever the umask of whoever starts it, in the foreground too.
#[test]
fn p12_only_its_user_may_read() {
    let bench = bench!();
    let script = "umask 000; exec \"$1\" daemon run";
    let running = bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.programs().aileron).start();
    let daemon = bench.ready(&running);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(bench.state()), 0o700);
    for entry in fs::read_dir(bench.state()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
    assert!(daemon.address.ip().is_loopback());
}

/// hapi#868, failure 20: proxy variables between client and loopback, in any spelling. A proxy that nobody should know of hears
/// nothing, from any command and from the library.
#[test]
fn p12_proxy_variables_are_ignored() {
    let bench = bench!();
    let proxy = Stranger::answering("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    let address = format!("http://{}", proxy.address);
    let proxied = |call: Call| {
        let names = ["http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "socks_proxy", "Http_Proxy"];
        let call = names
            .iter()
            .fold(call, |call, name| call.env(name, &address).env(&name.to_uppercase(), &address));
        call.env("no_proxy", "").env("NO_PROXY", "example.org").env("REQUEST_METHOD", "GET")
    };
    let started = proxied(bench.aileron(&["url"])).succeed();
    let daemon = bench.daemon();
    assert_eq!(started.stdout.trim(), daemon.url());
    for args in [&["url"][..], &["daemon", "start"], &["daemon", "status"], &["daemon", "logs"]] {
        proxied(bench.aileron(args)).succeed();
    }
    let library = proxied(bench.call(bench.programs().slow).args(["ensure", "20000"])).succeed();
    assert_eq!(library.stdout.trim(), format!("found {}", daemon.url()));
    proxied(bench.aileron(&["stop"])).succeed();
    assert_eq!((proxy.heard().as_str(), daemon.process.is_alive()), ("", false));
}

/// A FIFO as the hold, the gate's neighbour, or a file of somebody's: nothing is opened that could block.
#[test]
fn p12_what_else_lies_in_the_directory_is_left_alone() {
    let bench = bench!();
    let bench_file = |bench: &Bench| bench.file("somebodys-fifo");
    bench.make_state();
    put_fifo(&bench_file(&bench));
    bench.start(&[]);
    bench.aileron(&["stop"]).succeed();
    until("it is still there", PROMPT, || bench_file(&bench).exists().then_some(()));
}
