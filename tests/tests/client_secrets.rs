//! P12 and failures 19 and 20: what a client sends to whom. The token goes to the daemon that proved itself on that very
//! connection, and to nobody else.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::Path;

use aileron_tests::asker::{self, Asker, Manner, with_each};
use aileron_tests::{Bench, Daemon, PROMPT, Stranger, bench};

const HELPER: &str = env!("CARGO_BIN_EXE_helper-client");

fn started(bench: &Bench, manner: Manner) -> (Asker, Daemon) {
    asker::started(bench, manner, Path::new(HELPER))
}

/// A daemon is killed and somebody else takes its port, while a client still has its address: the stranger gets a challenge,
/// and neither token nor request.
#[test]
fn p12_whoever_takes_the_port_of_a_known_daemon_gets_no_token() {
    with_each(|manner| {
        for answer in
            ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 401 Unauthorized\r\n\r\n", ""]
        {
            let bench = bench!();
            let (asker, old) = started(&bench, manner);
            old.process.kill();
            assert!(old.process.ends_within(PROMPT));
            let stranger = Stranger::at(old.address, answer);
            assert_eq!(asker.ask("POST", "/add", "the request").unwrap().0, 200);
            let heard = stranger.heard();
            assert!(heard.contains("/v1/handshake"), "{manner:?}: it was asked: {heard:?}");
            for secret in [old.token.as_str(), "uthorization", "the request", "/add"] {
                assert!(!heard.contains(secret), "{manner:?}: {heard}");
            }
        }
    });
}

/// What a client in a process of its own says, with these variables.
fn ask_with(bench: &Bench, manner: &str, variables: &[(&str, &str)]) -> String {
    let call = bench.call(HELPER).args(["ask", manner]).arg(bench.state()).arg(bench.beside("journal"));
    let call = call.args(["POST", "/add", "the request"]);
    variables.iter().fold(call, |call, (name, value)| call.env(name, value)).succeed().stdout
}

#[test]
fn p12_an_explicit_address_gets_the_token_only_where_the_proof_succeeds() {
    for manner in ["async", "blocking"] {
        let bench = bench!();
        let (_asker, daemon) = started(&bench, Manner::Blocking);
        // The recorded one, proved.
        let answer = ask_with(&bench, manner, &[("AILERON_API_URL", &daemon.url())]);
        assert_eq!(answer, format!("- POST 200\n{}\n", daemon.process.pid()), "{manner}");
        // One that the record does not name: asked, as the user says, and told nothing.
        let stranger = Stranger::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let url = format!("http://{}", stranger.address);
        assert_eq!(ask_with(&bench, manner, &[("AILERON_API_URL", &url)]), "- POST 200\nok\n");
        assert!(stranger.heard().contains("the request"), "{manner}");
        // One that the record names, and that proves nothing.
        let mut record = daemon.record.clone();
        record["url"] = url.clone().into();
        daemon.process.kill();
        assert!(daemon.process.ends_within(PROMPT));
        fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
        assert_eq!(ask_with(&bench, manner, &[("AILERON_API_URL", &url)]), "- POST 200\nok\n");
        let heard = stranger.heard();
        assert!(heard.contains("/v1/handshake"), "{manner}: {heard}");
        assert!(!heard.contains(&daemon.token) && !heard.contains("uthorization"), "{manner}: {heard}");
        // One that would have to be looked up.
        let refused = ask_with(&bench, manner, &[("AILERON_API_URL", "http://localhost:1")]);
        assert!(refused.starts_with("- POST undone") && refused.contains("Explicit"), "{manner}: {refused}");
    }
}

#[test]
fn p12_proxy_variables_of_any_case_are_ignored() {
    let names =
        ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "Http_Proxy"];
    for manner in ["async", "blocking"] {
        let bench = bench!();
        let stranger = Stranger::answering("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        let url = format!("http://{}", stranger.address);
        let mut variables: Vec<(&str, &str)> = names.iter().map(|name| (*name, url.as_str())).collect();
        variables.extend([("no_proxy", ""), ("NO_PROXY", "")]);
        let answer = ask_with(&bench, manner, &variables);
        assert!(answer.starts_with("- POST 200\n"), "{manner}: {answer}");
        assert_eq!(stranger.heard(), "", "{manner}");
    }
}
