//! What a run found, as data: printed as a table, as one JSON document, and as the report's page.

use std::time::Duration;

use serde::Serialize;

use crate::figures::median;

use super::timeline::Timeline;

/// A test fails at ten times the promise: on a hang, and not on a busy machine.
const SLACK: f64 = 10.0;

/// What the project promises for a figure, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Promise(pub(super) f64);

impl Promise {
    pub(crate) fn bound_ms(self) -> f64 {
        self.0 * SLACK
    }

    /// How long an end is waited for: somewhat past the bound, so that a late one is told with its time.
    pub(crate) fn patience(self) -> Duration {
        Duration::from_secs_f64(self.bound_ms() / 1e3) + Duration::from_secs(3)
    }
}

/// A measured time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) what: &'static str,
    pub(crate) ms: f64,
    pub(crate) promise_ms: f64,
    pub(crate) bound_ms: f64,
}

/// One round of a scenario.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) number: u32,
    pub(crate) took_ms: f64,
    pub(crate) seen: Vec<String>,
    pub(crate) figures: Vec<Figure>,
    /// Why it fell short.
    pub(crate) failure: Option<String>,
    pub(crate) timeline: Timeline,
}

/// All rounds of a scenario.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Played {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) file_events: bool,
    pub(crate) rounds: Vec<Round>,
}

/// A figure over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) scenario: String,
    pub(crate) what: &'static str,
    pub(crate) count: usize,
    pub(crate) median_ms: f64,
    pub(crate) max_ms: f64,
    /// Every round's, sorted.
    pub(crate) times_ms: Vec<f64>,
    pub(crate) promise_ms: f64,
    pub(crate) bound_ms: f64,
}

/// The longest time from a fault to the process's end, with file events and without.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Longest {
    pub(crate) file_events: bool,
    pub(crate) scenario: String,
    pub(crate) ms: f64,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) schema: u32,
    pub(crate) version: String,
    pub(crate) machine: String,
    pub(crate) rounds: u32,
    pub(crate) took_ms: f64,
    pub(crate) failures: usize,
    pub(crate) summary: Vec<Summary>,
    pub(crate) longest: Vec<Longest>,
    pub(crate) scenarios: Vec<Played>,
}

/// The figure that this program exists for.
pub(crate) const FAULT_TO_GONE: &str = "fault to process gone";
/// Measured at the end of nearly every round, and so told once for all.
pub(crate) const STOP_TO_GONE: &str = "stop to process gone";

/// Each scenario's figures, and after them those that are told once for all.
pub(crate) fn summarize(scenarios: &[Played]) -> Vec<Summary> {
    let mut summary = Vec::new();
    for played in scenarios {
        let own = played.figure_names().into_iter().filter(|what| *what != STOP_TO_GONE);
        summary.extend(own.filter_map(|what| summarize_one(&played.name, what, played.figures())));
    }
    let everywhere = scenarios.iter().flat_map(Played::figures);
    summary.extend(summarize_one("(every scenario)", STOP_TO_GONE, everywhere));
    summary
}

fn summarize_one<'a>(
    scenario: &str,
    what: &'static str,
    figures: impl Iterator<Item = &'a Figure>,
) -> Option<Summary> {
    let figures: Vec<&Figure> = figures.filter(|figure| figure.what == what).collect();
    let mut times: Vec<f64> = figures.iter().map(|figure| figure.ms).collect();
    times.sort_by(f64::total_cmp);
    let first = figures.first()?;
    Some(Summary {
        scenario: scenario.to_owned(),
        what,
        count: times.len(),
        median_ms: median(&times)?,
        max_ms: *times.last()?,
        promise_ms: first.promise_ms,
        bound_ms: first.bound_ms,
        times_ms: times,
    })
}

/// For each way of noticing, the scenario with the longest time.
pub(crate) fn longest(scenarios: &[Played]) -> Vec<Longest> {
    let of = |file_events| {
        let candidates = scenarios.iter().filter(|played| played.file_events == file_events);
        let times = candidates.flat_map(|played| {
            let figures = played.figures().filter(|figure| figure.what == FAULT_TO_GONE);
            figures.map(|figure| (played.name.clone(), figure.ms))
        });
        let (scenario, ms) = times.max_by(|one, other| one.1.total_cmp(&other.1))?;
        Some(Longest { file_events, scenario, ms })
    };
    [true, false].into_iter().filter_map(of).collect()
}

impl Round {
    /// A round that could not even begin.
    pub(crate) fn not_played(number: u32, error: &anyhow::Error) -> Self {
        let failure = Some(format!("could not begin: {error:#}"));
        let (seen, figures, timeline) = (Vec::new(), Vec::new(), Timeline::default());
        Self { number, took_ms: 0.0, seen, figures, failure, timeline }
    }
}

impl Played {
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(|round| round.failure.is_some())
    }

    /// In the order in which they were first measured.
    fn figure_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for figure in self.figures() {
            if !names.contains(&figure.what) {
                names.push(figure.what);
            }
        }
        names
    }

    fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.rounds.iter().flat_map(|round| &round.figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(name: &str, file_events: bool, times: &[f64]) -> Played {
        let round = |ms: &f64| Round {
            number: 1,
            took_ms: 1.0,
            seen: Vec::new(),
            figures: [FAULT_TO_GONE, STOP_TO_GONE]
                .map(|what| Figure { what, ms: *ms, promise_ms: 20.0, bound_ms: 200.0 })
                .to_vec(),
            failure: None,
            timeline: Timeline::default(),
        };
        Played {
            name: name.into(),
            about: String::new(),
            file_events,
            rounds: times.iter().map(round).collect(),
        }
    }

    #[test]
    fn figures_are_gathered_over_the_rounds() {
        let scenarios = [played("x", true, &[4.0, 1.0, 9.0, 2.0]), played("y", false, &[8.0])];
        let summary = summarize(&scenarios);
        let lines: Vec<(&str, usize, f64, f64)> = summary
            .iter()
            .map(|line| (line.scenario.as_str(), line.count, line.median_ms, line.max_ms))
            .collect();
        assert_eq!(lines, [("x", 4, 3.0, 9.0), ("y", 1, 8.0, 8.0), ("(every scenario)", 5, 4.0, 9.0)]);
        let longest: Vec<f64> = longest(&scenarios).into_iter().map(|longest| longest.ms).collect();
        assert_eq!(longest, [9.0, 8.0]);
    }
}
