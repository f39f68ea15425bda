//! What a run of `bench growth` found, as one JSON document.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::super::origin::Origin;
use super::super::target::Check;
use super::fit;
use super::target::{self, Law};
use crate::figures::Spread;

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Document {
    #[serde(flatten)]
    pub(super) origin: Origin,
    pub(super) series: Vec<Series>,
    /// What gave no figure, and why.
    pub(super) unmeasured: Vec<String>,
}

/// A cost as something grows, and what it is compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) title: String,
    /// What grows, and what is measured.
    pub(super) x: String,
    pub(super) y: String,
    /// The first is ours and the one that is judged.
    pub(super) lines: Vec<Line>,
    pub(super) check: Check,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
    /// Of the power law over the last factor of ten.
    pub(super) exponent: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) number: usize,
    pub(super) cost: Spread,
}

impl Point {
    pub(super) fn of(number: usize, cost: Spread) -> Self {
        Self { number, cost }
    }

    /// The median over the number.
    #[expect(clippy::cast_precision_loss, reason = "some millions at most")]
    pub(super) fn place(&self) -> (f64, f64) {
        (self.number as f64, self.cost.median)
    }
}

impl Line {
    pub(super) fn of(name: &str, points: Vec<Point>) -> Self {
        let places: Vec<(f64, f64)> = points.iter().map(Point::place).collect();
        Self { name: name.to_owned(), points, exponent: fit::exponent(&places) }
    }
}

impl Series {
    pub(super) fn of(name: &str, title: &str, x: &str, y: &str, lines: Vec<Line>, law: Law) -> Self {
        let ours = lines.first().and_then(|line| line.exponent);
        let [name, title, x, y] = [name, title, x, y].map(str::to_owned);
        Self { name, title, x, y, lines, check: target::growth(law, ours) }
    }
}

impl Document {
    /// Has a part measured, or notes why it was not.
    pub(super) fn take(&mut self, what: &str, measure: impl FnOnce() -> Result<Series>) {
        eprintln!("{what}");
        match measure() {
            Ok(series) => self.series.push(series),
            Err(error) => {
                let text = format!("{what}: {error:#}");
                eprintln!("xtask: {text}");
                self.unmeasured.push(text);
            }
        }
    }

    /// Every check, in the order of the tables.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        self.series.iter().map(|series| &series.check)
    }
}
