//! A run of `bench server` in words and tables.

use super::super::page::{Report, Section, whole};
use super::super::standing::Standing;
use super::super::table::{Table, cells};
use super::document::Document;

const METHOD: [&str; 7] = [
    "Every server is a process of its own with a runtime of one thread, built with the same profile and linked in the same \
     way (`crates/server/examples/echo.rs`), and is asked the same bytes, a token among them. bare hyper: `service_fn`. \
     + axum's router: the router an embedder writes. + our layers, no fence: that router given to `serve`, in a build from a \
     copy of the source out of which the fence's one call has been cut; the product has no switch for it. + fence: the \
     product.",
    "+ our layers and fence, no router: bare hyper's own service given to `serve` as `Plain`. It stands beside the others: \
     what it adds to bare hyper is ours, and what is above it in the product is axum's.",
    "`GET /v1/daemon`: bare hyper has as many bytes ready as the product puts together.",
    "Instructions: one keep-alive connection, counted in user space over the whole process by callgrind; the \
     difference of two runs, so that start and end are not in it. They are what is judged: the same on a loaded machine. \
     What the kernel executes for a request, the fence's lstat(2) among it, is in `cpu` alone.",
    "Rates: one thread of this program keeps every connection busy with one request at a time, and shares the machine's \
     processors with the server: a rate is to be read beside another. Servers are loaded in turns, each round \
     beginning with another; connections are made and used once before.",
    "Latency: of each answer in all rounds, from before the request is written to its last byte read; with n connections \
     there are n requests in flight.",
    "cpu: the server's own time on a processor for each request, as the scheduler counts it, the kernel's part included.",
];

/// The run for people.
pub(in crate::bench) fn report(document: &Document) -> Report<'_> {
    let mut sections = Vec::new();
    if !document.layers.is_empty() {
        sections.push(layers(document));
    }
    if !document.loads.is_empty() {
        sections.push(loads(document));
    }
    Report {
        title: "What a request costs",
        origin: &document.origin,
        checks: document.checks().collect(),
        unmeasured: document.unmeasured.len(),
        method: METHOD.iter().map(|line| (*line).to_owned()).collect(),
        sections,
        plots: Vec::new(),
    }
}

fn layers(document: &Document) -> Section {
    let headings = ["route", "server", "instructions", "× bare", "added", "share", "target", "result"];
    let mut table = Table::new(2, &headings);
    for row in &document.layers {
        let mut all = document.layers.iter().filter(|other| other.route == row.route);
        let whole_cost = all.next_back().map_or(row.instructions, |last| last.instructions);
        let share = format!("{:.1} %", 100.0 * row.added / whole_cost);
        // Not one of those that add up to the whole.
        let share = if row.server == super::Rung::Plain.name() { String::new() } else { share };
        let mut line = vec![row.route.clone(), row.server.clone(), whole(row.instructions)];
        line.extend([format!("{:.2}", row.ratio), whole(row.added), share]);
        line.extend(row.check.as_ref().map_or_else(<[String; 2]>::default, cells));
        table.push(line);
    }
    let about = format!(
        "Instructions per request ({}); added: by this layer; share: of the product's whole.",
        document.counted_by
    );
    Section { title: "Instructions, layer by layer", about, table }
}

fn loads(document: &Document) -> Section {
    let headings = [
        "route",
        "server",
        "connections",
        "n",
        "per second",
        "× bare",
        "p50 µs",
        "p99 µs",
        "cpu µs",
        "target",
        "result",
    ];
    let mut table = Table::new(2, &headings);
    for row in &document.loads {
        let mut line = vec![row.route.clone(), row.server.clone(), row.connections.to_string()];
        line.extend([row.latency.n.to_string(), whole(row.rate.median), format!("{:.2}", row.ratio)]);
        line.extend([row.latency.median, row.latency.p99].map(whole));
        line.push(format!("{:.1}", row.cpu_us));
        line.extend(row.check.as_ref().map_or_else(<[String; 2]>::default, cells));
        table.push(line);
    }
    let about = "Answers per second (the median round), and how long each took.".to_owned();
    Section { title: "Requests per second", about, table }
}

/// The product's latency on one connection, beside bare hyper's.
pub(in crate::bench) fn standings(document: &Document) -> Vec<Standing> {
    let alone = || document.loads.iter().filter(|row| row.connections == 1);
    let products = alone().filter(|row| row.server == super::Rung::Product.name());
    let standing = |row: &super::document::LoadRow| Standing {
        what: format!("{}, one connection", row.route),
        limit: alone()
            .find(|bare| bare.route == row.route && bare.server == super::Rung::Bare.name())
            .map(|bare| bare.latency.median),
        ours: row.latency.median,
    };
    products.map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::origin::Origin;
    use super::super::super::page::{markdown, text};
    use super::super::document::{LayerRow, LoadRow};
    use super::super::{Rung, target};
    use super::*;
    use crate::figures::Spread;

    fn document() -> Document {
        let spread = |median: f64| Spread::of(&[median]).expect("one");
        let load = |rung: Rung, rate: f64, latency: f64, check| LoadRow {
            route: "POST /echo".to_owned(),
            connections: 1,
            server: rung.name().to_owned(),
            rate: spread(rate),
            ratio: rate / 20_000.0,
            latency: spread(latency),
            cpu_us: 9.25,
            check,
        };
        let layer = |rung: Rung, instructions: f64, added: f64, check| LayerRow {
            route: "POST /echo".to_owned(),
            server: rung.name().to_owned(),
            instructions,
            ratio: instructions / 10_000.0,
            added,
            check,
        };
        Document {
            origin: Origin::sample("server"),
            counted_by: "callgrind".to_owned(),
            loads: vec![
                load(Rung::Bare, 20_000.0, 41.0, None),
                load(Rung::Product, 18_500.0, 47.0, Some(target::rate(0.925))),
            ],
            layers: vec![
                layer(Rung::Bare, 10_000.0, 10_000.0, None),
                layer(Rung::Product, 12_500.0, 2_500.0, Some(target::instructions(1.25))),
            ],
            unmeasured: Vec::new(),
        }
    }

    #[test]
    fn both_pages_have_the_figures_the_shares_and_the_count() {
        for page in [text(&report(&document())), markdown(&[(report(&document()), "x")])] {
            for part in [
                "1 of 2 targets missed.",
                "12500",
                "1.25",
                "80.0 %",
                "20.0 %",
                "18500",
                "0.93",
                "47",
                "MISSED",
            ] {
                assert!(page.contains(part), "no {part} in {page}");
            }
        }
    }

    #[test]
    fn a_document_is_read_back_and_stands_beside_its_limit() {
        let written = serde_json::to_string(&document()).expect("written");
        let read: Document = serde_json::from_str(&written).expect("read");
        let standings = standings(&read);
        assert_eq!(standings.len(), 1);
        assert_eq!((standings[0].limit, standings[0].ours), (Some(41.0), 47.0));
    }
}
