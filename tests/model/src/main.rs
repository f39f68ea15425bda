//! `cargo run --release -p aileron-model -- …`: searches spaces, tries switches, prints the page.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

use std::process::ExitCode;

use aileron_model::cases::{self, Space};
use aileron_model::page;
use aileron_model::rules::{RULES, Rule, Rules};
use aileron_model::search::{Outcome, Progress, search};
use aileron_model::trace;
use aileron_model::world::{Config, Promise, World};

const USAGE: &str = "\
usage: aileron-model explore SPACE... [--without RULE]... [--to-the-letter]
       aileron-model switch RULE...
       aileron-model list
       aileron-model page

`explore` searches spaces, by name; `small` and `large` are all of a kind. `switch` takes one rule away and shows what
happens. `list` names spaces and rules. `page` prints the page of the design notes, generated anew.";

/// More states than this do not fit into the memory of a small machine.
const MOST: usize = 350_000_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first().map(|(command, rest)| (command.as_str(), rest)) {
        Some(("explore", rest)) => explore(rest),
        Some(("switch", rest)) => rest.iter().try_for_each(|name| switch(name)),
        Some(("list", [])) => {
            list();
            Ok(())
        }
        Some(("page", [])) => page::page().map(|text| print!("{text}")),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn explore(words: &[String]) -> Result<(), String> {
    let (mut spaces, mut rules, mut promise) = (Vec::new(), Rules::ALL, Promise::Kept);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--without" => rules = rules.without(rule(words.next().ok_or(USAGE)?)?),
            "--to-the-letter" => promise = Promise::Literal,
            "small" => spaces.extend(cases::SMALL),
            "large" => spaces.extend(cases::LARGE),
            name => spaces.push(cases::space(name).ok_or(format!("there is no space `{name}`"))?),
        }
    }
    let broken = spaces.iter().filter(|space| !explore_one(space, rules, promise)).count();
    if broken == 0 { Ok(()) } else { Err(format!("{broken} of {} spaces failed", spaces.len())) }
}

fn explore_one(space: &Space, rules: Rules, promise: Promise) -> bool {
    let world = World { rules, config: space.config, promise };
    println!("{}: {}", space.name, page::config(&space.config));
    let mut told = 0;
    let outcome = search(&world, MOST, |Progress { depth, states, took }| {
        let due = took.as_secs() / 10;
        if due > told {
            told = due;
            eprintln!("  depth {depth}, {states} states, {} s", took.as_secs());
        }
    });
    let Outcome { states, transitions, depth, took, cut_off, crowded, .. } = &outcome;
    println!("  {states} states, {transitions} steps, depth {depth}, {:.1} s", took.as_secs_f64());
    if *crowded > 0 {
        println!("  in {crowded} states a launch had to wait for a slot: this is no complete search");
    }
    if *cut_off {
        println!("  given up: more states than there is memory for");
    }
    if let Some((property, way)) = &outcome.violation {
        println!("{}", trace::tell(&world, *property, way));
    }
    outcome.violation.is_none() && !cut_off && *crowded == 0
}

fn switch(name: &str) -> Result<(), String> {
    let rule = rule(name)?;
    let tried: Vec<Config> = match cases::shown_in(rule) {
        Some(config) => vec![config],
        None => cases::TRIALS.to_vec(),
    };
    for config in tried {
        println!("without {name}, {}", page::config(&config));
        let world = World { rules: Rules::ALL.without(rule), config, promise: Promise::Kept };
        match search(&world, MOST, |_| ()).violation {
            Some((property, way)) => println!("{}", trace::tell(&world, property, &way)),
            None => println!("  nothing breaks"),
        }
    }
    Ok(())
}

fn list() {
    for space in cases::SMALL.iter().chain(&cases::LARGE).chain([&cases::OPEN]) {
        println!("{:<16} {}", space.name, page::config(&space.config));
    }
    println!();
    for rule in RULES {
        println!("{:<25} {}", rule.name(), rule.says());
    }
}

fn rule(name: &str) -> Result<Rule, String> {
    Rule::named(name).ok_or_else(|| format!("there is no rule `{name}`; `list` names them"))
}
