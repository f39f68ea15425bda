//! The parsers, and what must hold of whatever they make of an input.

mod answers;
mod process;
mod requests;
mod words;

use aileron_discovery::protocol::control::{DaemonView, Problem, StopRequest};
use aileron_discovery::protocol::handshake::{Challenge, Proof};
use aileron_discovery::protocol::launch::LaunchMessage;
use aileron_discovery::{Advertisement, Endpoint, ExitRecord, Reading};
use serde_json::Error;

use crate::mutate::DOCUMENT;

/// What a parser made of an input.
#[derive(Debug)]
pub struct Outcome {
    /// In a few words, the same for inputs that took the same way.
    pub what: String,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// A parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and its corpus's.
    pub name: &'static str,
    /// What reads such bytes, and who may have written them.
    pub about: &'static str,
    /// What its parser trips over, put anywhere into its inputs.
    pub tokens: &'static [&'static [u8]],
    /// Parses, and checks what came out. Panics where something does not hold.
    pub check: fn(&[u8]) -> Outcome,
}

/// All of them.
pub const TARGETS: [Target; 23] = [
    Target {
        name: "advertisement",
        about: "daemon.json, by every client",
        tokens: DOCUMENT,
        check: advertisement,
    },
    Target {
        name: "exit-record",
        about: "daemon.exit.json, by `status` and the next owner",
        tokens: DOCUMENT,
        check: exit_record,
    },
    Target {
        name: "launch-message",
        about: "the launch pipe, by the launcher",
        tokens: DOCUMENT,
        check: launch_message,
    },
    Target {
        name: "challenge",
        about: "the handshake's request, by the daemon, from anybody",
        tokens: DOCUMENT,
        check: challenge,
    },
    Target {
        name: "proof",
        about: "the handshake's answer, by a client, from anybody",
        tokens: DOCUMENT,
        check: proof,
    },
    Target {
        name: "stop-request",
        about: "the body of a stop request, by the daemon",
        tokens: DOCUMENT,
        check: stop_request,
    },
    Target {
        name: "problem",
        about: "a problem document, by a client, from anybody",
        tokens: DOCUMENT,
        check: problem,
    },
    Target {
        name: "daemon-view",
        about: "what a daemon of any version says of itself",
        tokens: DOCUMENT,
        check: daemon_view,
    },
    Target {
        name: "look",
        about: "an answer to a look, by a client, from anybody",
        tokens: answers::TOKENS,
        check: answers::look,
    },
    Target {
        name: "answer",
        about: "an answer to a call, by a client",
        tokens: answers::TOKENS,
        check: answers::answer,
    },
    Target {
        name: "address",
        about: "AILERON_API_URL, and the address in a record",
        tokens: requests::TOKENS,
        check: answers::explicit_address,
    },
    Target {
        name: "versions",
        about: "a record's version, by a client of another",
        tokens: requests::TOKENS,
        check: answers::versions,
    },
    Target {
        name: "request-head",
        about: "the head of a request, by the daemon, from anybody",
        tokens: requests::TOKENS,
        check: requests::request_head,
    },
    Target {
        name: "watchdog",
        about: "WATCHDOG_USEC and WATCHDOG_PID, by the daemon",
        tokens: requests::TOKENS,
        check: requests::watchdog,
    },
    Target {
        name: "log-level",
        about: "AILERON_LOG, by client and daemon",
        tokens: requests::TOKENS,
        check: requests::log_level,
    },
    Target {
        name: "options",
        about: "what a daemon of any version ran with, by a restart",
        tokens: DOCUMENT,
        check: requests::daemon_options,
    },
    Target {
        name: "process-stat",
        about: "/proc/PID/stat, with a name of anybody's choice",
        tokens: process::TOKENS,
        check: process::process_stat,
    },
    Target {
        name: "lock-lines",
        about: "/proc/PID/fdinfo of any process",
        tokens: process::TOKENS,
        check: process::lock_lines,
    },
    Target {
        name: "process-words",
        about: "/proc/PID/cmdline and environ of any process",
        tokens: process::TOKENS,
        check: process::process_words,
    },
    Target {
        name: "control-group",
        about: "/proc/PID/cgroup",
        tokens: process::TOKENS,
        check: process::control_group,
    },
    Target {
        name: "file-names",
        about: "names of files in the state directory, and of held locks",
        tokens: process::TOKENS,
        check: process::file_names,
    },
    Target {
        name: "duration",
        about: "durations, from arguments and variables",
        tokens: words::TOKENS,
        check: words::duration,
    },
    Target { name: "log", about: "daemon.log, by `logs`", tokens: words::TOKENS, check: words::log },
];

fn refused(error: &Error) -> Outcome {
    // Positions and quoted values differ from input to input; the way through the parser does not.
    let text = error.to_string();
    let until = if text.starts_with("missing field") { " at line" } else { "`" };
    let message = text.split(until).next().unwrap_or_default();
    let message = message.split(['"', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-']).next();
    Outcome { what: format!("{:?} {}", error.classify(), message.unwrap_or_default()), accepted: false }
}

fn refused_as(what: impl std::fmt::Debug) -> Outcome {
    Outcome { what: format!("refused {what:?}"), accepted: false }
}

fn accepted(what: impl std::fmt::Debug) -> Outcome {
    Outcome { what: format!("accepted {what:?}"), accepted: true }
}

fn advertisement(bytes: &[u8]) -> Outcome {
    let record = match Advertisement::parse(bytes) {
        Reading::Present(record) => record,
        Reading::Damaged { .. } => return refused_record(bytes),
        Reading::Absent => panic!("bytes are not nothing"),
    };
    sound(&record);
    accepted((
        record.instance.is_some(),
        record.epoch.is_some(),
        record.process.as_ref().map(|process| (process.start_time.is_some(), process.boot_id.is_some())),
        record.url.address().is_ipv6(),
    ))
}

fn refused_record(bytes: &[u8]) -> Outcome {
    match serde_json::from_slice::<Advertisement>(bytes) {
        Err(error) => refused(&error),
        Ok(_) => panic!("the same bytes are a record and none"),
    }
}

/// What holds of every record, whoever wrote it.
fn sound(record: &Advertisement) {
    let address = record.url.address();
    assert!(
        address.ip().is_loopback() && address.port() != 0,
        "no client ever connects elsewhere: {address}"
    );
    assert_eq!(
        Endpoint::parse(&record.url.to_string()).ok(),
        Some(record.url),
        "an address is read as it is shown"
    );
    let token = record.token.expose();
    // A token that is a part of something else is shown with it.
    if token.len() >= 16 {
        let (shown, mut rest) = (format!("{record:?}"), record.clone());
        rest.token = serde_json::from_str("\"-\"").expect("a token is a string");
        let elsewhere = String::from_utf8_lossy(&rest.to_bytes()).contains(token);
        assert!(elsewhere || !shown.contains(token), "a token is shown to nobody");
    }
    let again = match Advertisement::parse(&record.to_bytes()) {
        Reading::Present(again) => again,
        other => panic!("what is written is read: {other:?}"),
    };
    assert_eq!(again.to_bytes(), record.to_bytes(), "what is written is read as it was");
}

fn exit_record(bytes: &[u8]) -> Outcome {
    match serde_json::from_slice::<ExitRecord>(bytes) {
        Ok(record) => {
            let again: ExitRecord =
                serde_json::from_slice(&record.to_bytes()).expect("what is written is read");
            assert_eq!(again, record);
            accepted((record.epoch.is_some(), record.reason.is_empty(), record.exit_status == 0))
        }
        Err(error) => refused(&error),
    }
}

fn launch_message(bytes: &[u8]) -> Outcome {
    let Some(message) = LaunchMessage::decode(bytes) else { return unheard(bytes) };
    let line = message.encode();
    assert!(line.ends_with(b"\n") && !line[..line.len() - 1].contains(&b'\n'), "a message is one line");
    assert!(LaunchMessage::decode(&line).is_some(), "what is sent is heard");
    match message {
        LaunchMessage::Ready { record } => {
            sound(&record);
            accepted(("ready", record.instance.is_some()))
        }
        LaunchMessage::Held => accepted("held"),
        LaunchMessage::Lost => accepted("lost"),
        LaunchMessage::Failed(failure) => {
            accepted(("failed", failure.path.is_some(), failure.hint.is_some()))
        }
    }
}

fn unheard(bytes: &[u8]) -> Outcome {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<LaunchMessage>(line) {
        return refused(&error);
    }
    assert!(!bytes.contains(&b'\n'), "a whole line that is a message is heard");
    Outcome { what: "not whole yet".to_owned(), accepted: false }
}

fn challenge(bytes: &[u8]) -> Outcome {
    match serde_json::from_slice::<Challenge>(bytes) {
        Ok(challenge) => {
            let text = serde_json::to_string(&challenge).expect("a challenge is JSON");
            let again: Challenge = serde_json::from_str(&text).expect("what is sent is heard");
            assert_eq!(serde_json::to_string(&again).ok(), Some(text));
            accepted("a nonce")
        }
        Err(error) => refused(&error),
    }
}

/// The answers in the corpus were made without the token of this record: none of them proves anything, however damaged.
fn proof(bytes: &[u8]) -> Outcome {
    const RECORD: &str = r#"{"url":"http://127.0.0.1:4711","pid":1,"version":"1","started_at":"",
        "token":"5b3e0a","instance":"00112233445566778899aabbccddeeff"}"#;
    const CHALLENGE: &str = r#"{"nonce":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"}"#;
    match serde_json::from_slice::<Proof>(bytes) {
        Ok(proof) => {
            let Reading::Present(record) = Advertisement::parse(RECORD.as_bytes()) else {
                panic!("a record")
            };
            let challenge: Challenge = serde_json::from_str(CHALLENGE).expect("a challenge");
            match proof.check(&record, &challenge) {
                Err(not) => accepted(not),
                Ok(()) => panic!("proved without the token"),
            }
        }
        Err(error) => refused(&error),
    }
}

fn stop_request(bytes: &[u8]) -> Outcome {
    match serde_json::from_slice::<StopRequest>(bytes) {
        Ok(request) => accepted(request),
        Err(error) => refused(&error),
    }
}

fn problem(bytes: &[u8]) -> Outcome {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(problem) => accepted(problem.code),
        Err(error) => refused(&error),
    }
}

fn daemon_view(bytes: &[u8]) -> Outcome {
    match serde_json::from_slice::<DaemonView>(bytes) {
        Ok(view) => {
            let text = serde_json::to_vec(&view).expect("a view is JSON");
            assert!(serde_json::from_slice::<DaemonView>(&text).is_ok(), "what is sent is heard");
            accepted((view.state, view.epoch.is_some(), view.idle_exit_ms.is_some(), view.at_path.is_some()))
        }
        Err(error) => refused(&error),
    }
}
