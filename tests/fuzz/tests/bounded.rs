//! A bounded run of each parser, and the check of the checker.
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::time::Duration;

use aileron_fuzz::{Corpus, Limits, Outcome, TARGETS, Target, run};

const HANG: Duration = Duration::from_secs(30);

fn limits(executions: u64) -> Limits {
    Limits { executions, seed: 20, hang: HANG }
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
    let target = Target { name: "fragile", about: "a defect on purpose", check: fragile };
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

/// What is left to chance follows from the seed.
#[test]
fn a_run_can_be_had_again() {
    let target = TARGETS.iter().find(|target| target.name == "problem").unwrap();
    let once = run(target, Corpus::of("problem").unwrap(), limits(5_000)).unwrap();
    let again = run(target, Corpus::of("problem").unwrap(), limits(5_000)).unwrap();
    assert_eq!((once.accepted, once.outcomes), (again.accepted, again.outcomes));
}
