//! A bounded run of each parser, and the check of the checker.
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aileron_fuzz::{Corpus, Failure, Limits, Outcome, Report, TARGETS, Target};

const HANG: Duration = Duration::from_secs(30);

/// One run at a time: the memory of which one bounds the growth is the process's.
fn run(target: &Target, corpus: Corpus, limits: Limits) -> Result<Report, Failure> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    aileron_fuzz::run(target, corpus, limits)
}

fn limits(executions: u64) -> Limits {
    Limits { executions, seed: 20, hang: HANG, aloud: false }
}

/// P11: no byte sequence in any file makes a client hang, panic, or act on a lie.
#[test]
fn p11_every_parser_bears_thousands_of_damaged_inputs() {
    for target in &TARGETS {
        let corpus = Corpus::of(target.name).unwrap();
        let report = match run(target, corpus, limits(20_000)) {
            Ok(report) => report,
            Err(failure) => {
                panic!("{}: {}: {}", target.name, failure.why, failure.input.escape_ascii())
            }
        };
        assert!(report.outcomes >= 5, "{}: little was tried: {report:?}", target.name);
        assert!(report.accepted >= 20, "{}: nothing gets past the first check: {report:?}", target.name);
    }
}

/// Each kept input that is named `good…` is accepted, so that the damage begins from what a parser likes.
#[test]
fn the_corpus_has_what_each_parser_accepts() {
    for target in &TARGETS {
        let corpus = Corpus::of(target.name).unwrap();
        assert!(corpus.inputs().iter().any(|input| (target.check)(input).accepted), "{}", target.name);
    }
}

/// A parser that panics on one number in one member, and one that panics behind two checks: both are found.
#[test]
fn a_defect_is_found() {
    fn fragile(bytes: &[u8]) -> Outcome {
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
        let Ok(value) = parsed else { return Outcome { what: "no JSON".to_owned(), accepted: false } };
        let number = value["pid"].as_u64().map(|pid| u16::try_from(pid).expect("a small pid"));
        let what = format!("{} {}", number.is_some(), value["url"].is_string());
        assert!(
            number.is_some() || !value["url"].is_null() || value["token"].is_string(),
            "a lie was believed"
        );
        Outcome { what, accepted: true }
    }
    let target =
        Target { name: "fragile", about: "a defect on purpose", tokens: TARGETS[0].tokens, check: fragile };
    let failure = run(&target, Corpus::of("advertisement").unwrap(), limits(1_000_000)).unwrap_err();
    assert!(failure.why.contains("a small pid") || failure.why.contains("a lie"), "{}", failure.why);
    assert!(
        run(
            &target,
            Corpus::of("advertisement").unwrap(),
            Limits { executions: failure.execution, ..limits(0) }
        )
        .is_ok()
    );
}

/// What a parser may do that takes the process along, and what is said of it then.
const DEADLY: [(&str, Check, &str); 3] = [
    ("hang", hang, "hang: execution 0 of seed 20: takes longer than 2000 ms"),
    ("recursion", |bytes| recurse(bytes, 0), "has overflowed its stack"),
    ("memory", hoard, "of seed 20: the memory has grown by"),
];

type Check = fn(&[u8]) -> Outcome;

fn hang(_: &[u8]) -> Outcome {
    loop {
        std::thread::park();
    }
}

fn recurse(bytes: &[u8], depth: u64) -> Outcome {
    // A small frame for each bracket that is open, as a careless parser has.
    let frame = std::hint::black_box([depth; 64]);
    match bytes.iter().position(|byte| *byte == b'[') {
        Some(at) => recurse(&bytes[at + 1..], frame[63] + 1),
        None => Outcome { what: (frame[0].min(9)).to_string(), accepted: true },
    }
}

fn hoard(bytes: &[u8]) -> Outcome {
    // Freed at once, as what a length field asked for is.
    let asked_for = if bytes.len() > 1500 { 80 << 20 } else { 0 };
    let hoard = std::hint::black_box(vec![1_u8; asked_for]);
    Outcome { what: hoard.len().to_string(), accepted: true }
}

/// Run by the next test, as a process of its own.
#[test]
fn dies_where_it_is_told_to() {
    let Ok(which) = std::env::var("AILERON_FUZZ_DIES") else { return };
    let (name, check, _) = DEADLY.into_iter().find(|(name, ..)| *name == which).unwrap();
    let target = Target { name, about: "a defect on purpose", tokens: TARGETS[0].tokens, check };
    let limits = Limits { hang: Duration::from_secs(2), ..limits(200_000) };
    run(&target, Corpus::of("advertisement").unwrap(), limits).unwrap();
}

/// A parser that never returns, one that recurses, and one that allocates what an input asks for.
#[test]
fn a_defect_that_takes_the_process_along_is_named() {
    for (name, _, said) in DEADLY {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["dies_where_it_is_told_to", "--exact", "--nocapture"]).env("AILERON_FUZZ_DIES", name);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let is_named = text.contains(name) && text.contains(said);
        assert!(!output.status.success() && is_named, "{name}: {}: {text}", output.status);
    }
}

/// What is left to chance follows from the seed.
#[test]
fn a_run_can_be_had_again() {
    let target = TARGETS.iter().find(|target| target.name == "problem").unwrap();
    let once = run(target, Corpus::of("problem").unwrap(), limits(5_000)).unwrap();
    let again = run(target, Corpus::of("problem").unwrap(), limits(5_000)).unwrap();
    assert_eq!((once.accepted, once.outcomes), (again.accepted, again.outcomes));
}
