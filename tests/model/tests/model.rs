//! The small spaces hold, every switch still has its counterexample, and the page says what the command prints.

use aileron_model::cases::{Kept, SMALL, TO_THE_LETTER, TRIALS, shown_in};
use aileron_model::property::Property;
use aileron_model::rules::{RULES, Rule, Rules};
use aileron_model::search::{Outcome, search};
use aileron_model::trace;
use aileron_model::world::{Config, Promise, World};
use aileron_model::{page, world};

const PAGE: &str = include_str!("../../../docs/design/0006-the-protocol-in-a-model.md");

fn run(rules: Rules, config: Config, promise: Promise) -> (Outcome, String) {
    let world = World { rules, config, promise };
    let outcome = search(&world, usize::MAX, |_| ());
    let told = outcome.violation.as_ref().map(|(property, way)| trace::tell(&world, *property, way));
    (outcome, told.unwrap_or_default())
}

#[test]
fn the_protocol_holds_in_every_small_space() {
    for space in SMALL {
        let (outcome, told) = run(Rules::ALL, space.config, Promise::Kept);
        assert!(outcome.violation.is_none(), "{}:\n{told}", space.name);
        assert_eq!(outcome.crowded, 0, "{}: a launch had to wait for a slot", space.name);
        let Kept { seconds, .. } = space.kept;
        let Outcome { states, transitions, depth, .. } = outcome;
        let found = Kept { states, transitions, depth, seconds };
        assert_eq!(found, space.kept, "{}: it has changed its size; is that meant?", space.name);
    }
}

#[test]
fn every_rule_is_missed_where_it_is_shown_and_only_there() {
    for rule in RULES {
        let config = shown_in(rule).unwrap_or_else(|| panic!("nobody knows what {} is for", rule.name()));
        let (without, _) = run(Rules::ALL.without(rule), config, Promise::Kept);
        assert!(
            without.violation.is_some(),
            "without {} nothing breaks: {}",
            rule.name(),
            page::config(&config)
        );
        let (with, told) = run(Rules::ALL, config, Promise::Kept);
        assert!(with.violation.is_none(), "with all rules, {}:\n{told}", page::config(&config));
    }
}

#[test]
fn what_breaks_is_what_the_rule_is_for() {
    let broken = |rule| {
        let config = shown_in(rule).expect("it is shown somewhere");
        run(Rules::ALL.without(rule), config, Promise::Kept).0.violation.map(|(property, _)| property)
    };
    for (rule, property) in [
        (Rule::CompareLock, Property::FalseOwner),
        (Rule::SecondLook, Property::FalseAlarm),
        (Rule::Fence, Property::ActedUpon),
        (Rule::FencedHandshake, Property::HandedAnOrphan),
        (Rule::Section, Property::SurvivorsRecord),
        (Rule::LockLast, Property::SurvivorsRecord),
        (Rule::AskToWithdraw, Property::TouchedByStranger),
        (Rule::LockStays, Property::LockRemoved),
        (Rule::GateUntilReady, Property::SecondLaunch),
        (Rule::GateStands, Property::LaunchWithoutGate),
        (Rule::HoldUnderGate, Property::LaunchedOnHold),
        (Rule::CompareGate, Property::NotStopped),
        (Rule::Restore, Property::UnadvertisedAtRest),
        (Rule::KeepLooking, Property::OrphanAtRest),
        (Rule::ReopenGate, Property::NoRest),
        (Rule::Proof, Property::Stranger),
        (Rule::DisplacedWritesNothing, Property::Stuck),
        (Rule::LookWhileWaiting, Property::NoRest),
    ] {
        assert_eq!(broken(rule), Some(property), "{}", rule.name());
    }
}

#[test]
fn to_the_letter_two_promises_are_broken_and_as_kept_they_are_not() {
    for (config, property) in
        TO_THE_LETTER.into_iter().zip([Property::SurvivorsRecord, Property::OfficeOnHold])
    {
        let (literal, _) = run(Rules::ALL, config, Promise::Literal);
        assert_eq!(literal.violation.map(|(property, _)| property), Some(property));
        assert!(run(Rules::ALL, config, Promise::Kept).0.violation.is_none());
    }
}

#[test]
fn a_trial_of_the_protocol_finds_nothing() {
    for config in TRIALS {
        let (outcome, told) = run(Rules::ALL, config, world::Promise::Kept);
        assert!(outcome.violation.is_none(), "{}:\n{told}", page::config(&config));
    }
}

#[test]
fn the_page_is_what_the_command_prints() {
    let printed = page::page().expect("every switch does what the page says");
    let differs = printed.lines().zip(PAGE.lines()).find(|(printed, kept)| printed != kept);
    assert!(
        printed == PAGE,
        "the page is old: run `cargo run --release -p aileron-model -- page`; first difference: {differs:?}"
    );
}
