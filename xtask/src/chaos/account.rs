//! What a run came to: by seed, by kind of round, by deed and by command.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::round::Told;
use crate::world::machine;

/// The whole of a run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Account {
    /// Of this document.
    schema: u32,
    command: String,
    machine: String,
    seeds: Vec<OfSeed>,
    kinds: BTreeMap<String, Sum>,
    all: Sum,
    /// How often each thing was done to the daemons.
    deeds: BTreeMap<String, u32>,
    /// How often each command was given.
    calls: BTreeMap<String, u32>,
    /// The rounds with a violation: seed, number, and the first of them.
    broken: Vec<(u64, u32, String)>,
}

#[derive(Debug, Serialize)]
struct OfSeed {
    seed: u64,
    rounds: u32,
    broken: u32,
    seconds: f64,
}

/// A number of rounds, added up.
#[derive(Clone, Debug, Default, Serialize)]
struct Sum {
    rounds: u32,
    on_disk: u32,
    clients: usize,
    refused: usize,
    killed: usize,
    increments: usize,
    launches: usize,
    deeds: u32,
    passed_over: u32,
    total_ms: f64,
    longest_ms: f64,
    broken: u32,
}

impl Sum {
    fn add(&mut self, told: &Told) {
        self.rounds += 1;
        self.on_disk += u32::from(told.on_disk);
        self.clients += told.clients;
        self.refused += told.failed_clients;
        self.killed += told.killed_clients;
        self.increments += told.increments;
        self.launches += told.launches;
        self.deeds += told.deeds.values().sum::<u32>();
        self.passed_over += told.passed_over;
        self.total_ms += told.took_ms;
        self.longest_ms = self.longest_ms.max(told.took_ms);
        self.broken += u32::from(!told.violations.is_empty());
    }

    fn line(&self, name: &str) -> String {
        format!(
            "{name:<10} {:>7} {:>8} {:>8} {:>7} {:>10} {:>9} {:>7} {:>7} {:>8.0} {:>8.0} {:>7}",
            self.rounds,
            self.clients,
            self.refused,
            self.killed,
            self.increments,
            self.launches,
            self.deeds,
            self.passed_over,
            self.total_ms / f64::from(self.rounds.max(1)),
            self.longest_ms,
            self.broken
        )
    }
}

impl Account {
    pub(super) fn of(command: String) -> Self {
        Self { schema: 1, command, machine: machine::machine(), ..Self::default() }
    }

    pub(super) fn begin(&mut self, seed: u64) {
        self.seeds.push(OfSeed { seed, rounds: 0, broken: 0, seconds: 0.0 });
    }

    pub(super) fn add(&mut self, told: &Told) {
        self.kinds.entry(told.kind.clone()).or_default().add(told);
        self.all.add(told);
        for (of, sum) in [(&told.deeds, &mut self.deeds), (&told.calls, &mut self.calls)] {
            for (name, count) in of {
                *sum.entry(name.clone()).or_default() += count;
            }
        }
        let Some(current) = self.seeds.last_mut() else { return };
        current.rounds += 1;
        if let Some(first) = told.violations.first() {
            current.broken += 1;
            let line = first.lines().next().unwrap_or_default().to_owned();
            self.broken.push((current.seed, told.round, line));
        }
    }

    pub(super) fn end(&mut self, seconds: f64) {
        if let Some(current) = self.seeds.last_mut() {
            current.seconds = seconds;
        }
    }

    pub(super) fn rounds(&self) -> u32 {
        self.all.rounds
    }

    pub(super) fn broken(&self) -> u32 {
        self.all.broken
    }

    /// Tables for whoever sits in front of it.
    pub(super) fn print(&self) {
        println!(
            "\n{:<10} {:>7} {:>8} {:>8} {:>7} {:>10} {:>9} {:>7} {:>7} {:>8} {:>8} {:>7}",
            "kind",
            "rounds",
            "clients",
            "refused",
            "killed",
            "increments",
            "launches",
            "deeds",
            "skipped",
            "mean ms",
            "max ms",
            "broken"
        );
        for (name, sum) in &self.kinds {
            println!("{}", sum.line(name));
        }
        println!("{}", self.all.line("all"));
        for (title, counts) in [("done to daemons", &self.deeds), ("commands", &self.calls)] {
            let shown: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
            println!("\n{title}: {}", shown.join("; "));
        }
        println!("\n{:>12} {:>7} {:>7} {:>8}", "seed", "rounds", "broken", "seconds");
        for OfSeed { seed, rounds, broken, seconds } in &self.seeds {
            println!("{seed:>12} {rounds:>7} {broken:>7} {seconds:>8.0}");
        }
        let seconds: f64 = self.seeds.iter().map(|of| of.seconds).sum();
        let each = seconds / f64::from(self.all.rounds.max(1));
        println!(
            "\n{} rounds ({} of them on the disk), {} broken, {seconds:.0} s, {each:.3} s a round",
            self.all.rounds, self.all.on_disk, self.all.broken
        );
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("cannot write the account down")?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }
}
