//! A run of `bench growth` in words, tables and plots.

use super::super::page::{Report, Section, whole};
use super::super::plot::{self, Chart, Plot};
use super::super::table::{Table, cells};
use super::document::{Document, Series};

const METHOD: [&str; 6] = [
    "The exponent is that of the power law nearest to the medians on logarithmic scales (least squares) over the last factor \
     of ten: 0 is flat, 1 is linear. Before that, what is paid once hides what is paid for each. The first line of each plot \
     is ours and is judged; the other says what the machine does.",
    "find: a whole `find` with its proof within a running process (`crates/spawn/examples/find_cost.rs`), in turns with a bare \
     round trip, while so many other connections are open and idle.",
    "finds: one thread connects so many times, asks for a proof on each and hears the answers; each connection is closed with \
     its answer. The product serves 1,024 connections at a time: of 2,000, the others wait until a place is free.",
    "echo: as in `bench server`, each client with one request in flight, so that with n clients an answer takes n \
     times as long where a request costs the same. Clients that stay connected may be 1,024 at most.",
    "herd: as in `bench client`: so many `aileron url` spawned one after the other as fast as one thread can.",
    "logs: the whole process, in turns with tail(1), on a log whose last lines are the same number at each size.",
];

/// The run for people.
pub(in crate::bench) fn report(document: &Document) -> Report<'_> {
    Report {
        title: "How costs grow",
        origin: &document.origin,
        checks: document.checks().collect(),
        unmeasured: document.unmeasured.len(),
        method: METHOD.iter().map(|line| (*line).to_owned()).collect(),
        sections: if document.series.is_empty() {
            Vec::new()
        } else {
            vec![exponents(document), points(document)]
        },
        plots: document.series.iter().map(drawn).collect(),
    }
}

fn exponents(document: &Document) -> Section {
    let mut table = Table::new(3, &["what", "as there are more", "line", "exponent", "target", "result"]);
    for series in &document.series {
        for (at, line) in series.lines.iter().enumerate() {
            let exponent = line.exponent.map_or_else(|| "–".to_owned(), |found| format!("{found:.2}"));
            let mut cells_of = vec![series.name.clone(), series.x.clone(), line.name.clone(), exponent];
            cells_of.extend(if at == 0 { cells(&series.check) } else { <[String; 2]>::default() });
            table.push(cells_of);
        }
    }
    Section { title: "Exponents", about: "Flat or linear, and no worse.".to_owned(), table }
}

fn points(document: &Document) -> Section {
    let mut table = Table::new(2, &["what", "line", "number", "n", "median", "p99"]);
    for series in &document.series {
        for line in &series.lines {
            for point in &line.points {
                let mut cells = vec![series.name.clone(), line.name.clone(), point.number.to_string()];
                cells.push(point.cost.n.to_string());
                cells.extend([point.cost.median, point.cost.p99].map(whole));
                table.push(cells);
            }
        }
    }
    Section { title: "The points", about: "Microseconds.".to_owned(), table }
}

fn drawn(series: &Series) -> Plot {
    let lines = series
        .lines
        .iter()
        .map(|line| plot::Line {
            name: line.name.clone(),
            points: line.points.iter().map(super::document::Point::place).collect(),
        })
        .collect();
    let chart = Chart { title: &series.title, x: &series.x, y: &series.y, lines };
    Plot { file: format!("growth-{}.svg", series.name), title: series.title.clone(), svg: plot::draw(&chart) }
}

#[cfg(test)]
mod tests {
    use super::super::super::origin::Origin;
    use super::super::super::page::{markdown, text};
    use super::super::document::{Line, Point};
    use super::super::target::Law;
    use super::*;
    use crate::figures::Spread;

    fn document(law: fn(f64) -> f64) -> Document {
        let point = |number: usize| {
            let cost = law(f64::from(u32::try_from(number).expect("small")));
            Point::of(number, Spread::of(&[cost]).expect("one"))
        };
        let lines = vec![Line::of("ours", [1, 10, 100, 1000].map(point).to_vec())];
        let series = Series::of("herd", "Herds", "clients", "µs", lines, Law::Linear);
        Document { origin: Origin::sample("growth"), series: vec![series], unmeasured: Vec::new() }
    }

    #[test]
    fn what_grows_faster_than_it_may_is_missed() {
        for (law, exponent, missed) in
            [((|x| 5.0 * x) as fn(f64) -> f64, "1.00", "0 of 1"), (|x| x * x, "2.00", "1 of 1")]
        {
            let written = serde_json::to_string(&document(law)).expect("written");
            let read: Document = serde_json::from_str(&written).expect("read");
            for page in [text(&report(&read)), markdown(&[(report(&read), "x")])] {
                assert!(page.contains(exponent) && page.contains(missed), "{exponent}, {missed}: {page}");
            }
            assert!(markdown(&[(report(&read), "x")]).contains("(growth-herd.svg)"));
        }
    }
}
