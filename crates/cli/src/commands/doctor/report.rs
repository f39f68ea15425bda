//! The report, for programs and for people.

use aileron_discovery::Tool;
use serde_json::{Value, json};

use super::check::{Check, Outcome};
use super::facts::Facts;
use super::fix::{Done, Fix};

/// The width for which text is broken.
const WIDTH: usize = 80;

/// Where evidence and remedy begin.
const INDENT: usize = 24;

pub(super) fn document(facts: &Facts, checks: &[Check], possible: &[Fix], done: &[Done]) -> Value {
    let one = |check: &Check| {
        json!({
            "name": check.name,
            "result": check.outcome.name(),
            "evidence": check.evidence,
            "remedy": check.remedy,
        })
    };
    let possible = possible.iter().map(|fix| json!({ "what": fix.what, "outcome": "possible", "why": null }));
    let done = done.iter().map(|done| {
        let outcome = if done.refused.is_none() { "done" } else { "refused" };
        json!({ "what": done.what, "outcome": outcome, "why": done.refused })
    });
    let dir = facts.dir.as_ref().ok();
    json!({
        "schema": 1,
        "state_dir": dir.map(|dir| json!({ "path": dir.root().to_string_lossy(), "rule": dir.rule().name() })),
        "checks": checks.iter().map(one).collect::<Vec<_>>(),
        "fixes": possible.chain(done).collect::<Vec<_>>(),
    })
}

/// What is said before it is done.
pub(super) fn plan_text(plan: &[Fix]) -> String {
    plan.iter().fold("to be fixed:".to_owned(), |text, fix| format!("{text}\n  {}", fix.what))
}

/// What is wrong first.
pub(super) fn text(tool: &Tool, checks: &[Check], possible: &[Fix], done: &[Done]) -> String {
    let mut lines = vec![first_line(checks)];
    for outcome in [Outcome::Failure, Outcome::Warning, Outcome::Ok, Outcome::Skipped] {
        for check in checks.iter().filter(|check| check.outcome == outcome) {
            let (open, close) = colour(outcome);
            let evidence = wrapped(&check.evidence);
            lines.push(format!("{open}{:<4}{close}  {:<17} {evidence}", label(outcome), check.name));
            let remedy = check.remedy.as_ref().map(|remedy| wrapped(&format!("next: {remedy}")));
            lines.extend(remedy.map(|remedy| format!("{:INDENT$}{remedy}", "")));
        }
    }
    if !possible.is_empty() {
        lines.push(format!("\n`{} daemon doctor --fix` would", tool.name()));
        lines.extend(possible.iter().map(|fix| format!("  {}", fix.what)));
    }
    for done in done {
        let outcome = done.refused.as_ref().map_or("done".to_owned(), |why| format!("not done: {why}"));
        lines.push(format!("{}: {outcome}", done.what));
    }
    lines.join("\n")
}

fn first_line(checks: &[Check]) -> String {
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let named = |number: usize, what: &str| match number {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{number} {what}s")),
    };
    let wrong: Vec<_> =
        [named(count(Outcome::Failure), "failure"), named(count(Outcome::Warning), "warning")]
            .into_iter()
            .flatten()
            .collect();
    let fine = format!("{} ok, {} skipped", count(Outcome::Ok), count(Outcome::Skipped));
    if wrong.is_empty() { format!("nothing wrong: {fine}") } else { format!("{}; {fine}", wrong.join(", ")) }
}

fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warn",
        Outcome::Failure => "FAIL",
        Outcome::Skipped => "-",
    }
}

/// Taken away again where no colour is wanted.
fn colour(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Failure => ("\u{1b}[31m", "\u{1b}[0m"),
        Outcome::Warning => ("\u{1b}[33m", "\u{1b}[0m"),
        Outcome::Ok => ("\u{1b}[32m", "\u{1b}[0m"),
        Outcome::Skipped => ("", ""),
    }
}

/// Broken between words; a word that is too long, as a path may be, is left whole, for it is there to be copied.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let width = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(line) if width == 0 => line.push_str(word),
            Some(line) if width + 1 + word.chars().count() <= WIDTH - INDENT => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:INDENT$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_only() {
        let long = "/a".repeat(60);
        let text = wrapped(&format!("one {long} {}", "word ".repeat(30)));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "one");
        assert!(lines[1].trim() == long && lines.len() > 3, "{text}");
        assert!(lines.iter().skip(2).all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
