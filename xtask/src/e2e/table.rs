//! What a person reads while the scenarios run, and the table at the end.

use super::outcome::{Longest, Outcome, Round, Summary};

/// Where progress goes: beside a JSON document, standard output is not for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Person,
    Progress,
}

impl Voice {
    pub(super) fn say(self, text: &str) {
        match self {
            Self::Person => println!("{text}"),
            Self::Progress => eprintln!("{text}"),
        }
    }

    /// One round: all that was seen in the first and in those that fell short, one line of the others.
    pub(super) fn tell(self, round: &Round, rounds: u32) {
        let result = if round.failure.is_none() { "passed" } else { "FELL SHORT" };
        let figures: Vec<String> =
            round.figures.iter().map(|figure| format!("{} {:.2} ms", figure.what, figure.ms)).collect();
        if round.number == 1 || round.failure.is_some() {
            round.seen.iter().for_each(|seen| self.say(&format!("    {seen}")));
        }
        if let Some(failure) = &round.failure {
            self.say(&format!("    {failure}"));
        }
        let number = if rounds > 1 { format!("round {}: ", round.number) } else { String::new() };
        let took = round.took_ms;
        self.say(&format!("  {number}{result} in {took:.0} ms ({})", figures.join(", ")));
    }
}

/// The table of all figures, and what fell short.
pub(super) fn print(outcome: &Outcome) {
    let widest = |width: usize, text: &str| width.max(text.len());
    let names = outcome.summary.iter().map(|line| line.scenario.as_str());
    let figures = outcome.summary.iter().map(|line| line.what);
    let (first, second) = (names.fold(8, widest), figures.fold(6, widest));
    println!(
        "\n{:<first$}  {:<second$}  {:>6}  {:>10}  {:>10}  {:>10}  {:>10}",
        "scenario", "figure", "rounds", "median ms", "max ms", "promise ms", "bound ms"
    );
    for line in &outcome.summary {
        let Summary { scenario, what, count, median_ms, max_ms, promise_ms, bound_ms, .. } = line;
        println!(
            "{scenario:<first$}  {what:<second$}  {count:>6}  {median_ms:>10.2}  {max_ms:>10.2}  \
             {promise_ms:>10.0}  {bound_ms:>10.0}"
        );
    }
    let rounds: usize = outcome.scenarios.iter().map(|scenario| scenario.rounds.len()).sum();
    println!(
        "\n{} scenarios, {rounds} rounds, {} fell short, {:.1} s, {}, {}",
        outcome.scenarios.len(),
        outcome.failures,
        outcome.took_ms / 1e3,
        outcome.version,
        outcome.machine
    );
    for Longest { file_events, scenario, ms } in &outcome.longest {
        let how = if *file_events { "with file events" } else { "without file events" };
        println!("longest from fault to process gone, {how}: {ms:.2} ms ({scenario})");
    }
    println!(
        "times run from the moment before the fault's system call until the process's pidfd says that it is gone"
    );
}
