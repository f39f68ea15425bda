//! `bench growth`: what becomes of a cost as there is more of everything: clients, connections, lines in the log.
//!
//! It must stay flat where more is none of its business, and be no more than linear where more is asked for.

mod document;
mod fit;
mod logs;
mod page;
mod target;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::document::{Line, Point, Series};
use self::target::Law;
use super::client::build::{self, Programs};
use super::client::{find, herd};
use super::finish;
use super::origin::Origin;
use super::server::{self, Contestant, Load, Route, Rung, Under, Until};
use crate::args::RunArgs;
use crate::figures::Spread;
use crate::workspace::{Workspace, run_to_success};
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};
use crate::world::http::Request;
use crate::world::{machine, observe};

pub(super) use self::document::Document;
pub(super) use self::page::report;

/// What its kept runs are called.
pub(super) const NAME: &str = "growth";

/// The product serves 1,024 connections at a time; more wait for one to end.
const CONNECTED: [usize; 6] = [1, 10, 50, 100, 300, 1000];
const AT_ONCE: [usize; 8] = [1, 10, 50, 100, 200, 500, 1000, 2000];
const HERDS: [u32; 5] = [10, 30, 100, 300, 1000];

/// How much is done for each point.
struct Effort {
    finds: usize,
    bursts: usize,
    load: Duration,
    loads: usize,
    herds: usize,
    logs: usize,
}

const FULL: Effort =
    Effort { finds: 2000, bursts: 20, load: Duration::from_millis(500), loads: 5, herds: 5, logs: 100 };
const QUICK: Effort =
    Effort { finds: 200, bursts: 3, load: Duration::from_millis(150), loads: 2, herds: 1, logs: 10 };

/// Runs `bench growth`.
///
/// # Errors
/// When something cannot be built or set up, or a part gives no figure.
pub(crate) fn run(workspace: &Workspace, args: &RunArgs) -> Result<()> {
    let (programs, find_cost) = (build::programs(workspace)?, build::find_cost(workspace)?);
    run_to_success(workspace.cargo().args(["build", "--release"]).args(server::WHAT))?;
    let echo = workspace.target_dir().join("release").join("examples").join("echo");
    observe::become_subreaper()?;
    let begun = Instant::now();
    let best = programs.last().context("there is a build")?;
    let file_system = machine::file_system(&std::env::temp_dir())?;
    let mut document = Document {
        origin: Origin::of(args.command_line(NAME), &best.aileron, vec![file_system], begun),
        series: Vec::new(),
        unmeasured: Vec::new(),
    };
    let effort = if args.quick { QUICK } else { FULL };
    document.take("finds beside idle connections", || found_beside(best, &find_cost, &effort));
    document.take("finds at once", || found_at_once(best, &effort));
    document.take("requests in flight", || in_flight(&echo, &effort));
    document.take("herds", || herds(best, &effort));
    document.take("logs", || logs::measure(&best.aileron, effort.logs));
    document.origin.took_s = begun.elapsed().as_secs_f64().round();
    finish(&report(&document), &document, NAME, &args.output, workspace)
}

/// Other clients are connected and ask nothing: a find must not feel them.
fn found_beside(best: &Programs, find_cost: &std::path::Path, effort: &Effort) -> Result<Series> {
    let (home, daemon) = daemon(best)?;
    let question = closing("GET /healthz", daemon.port, "").replace("close", "keep-alive");
    let (mut proved, mut raw) = (Vec::new(), Vec::new());
    for connections in CONNECTED {
        let others = Load::connect(daemon.port, question.as_bytes(), connections)?;
        let printed = find::timed(find_cost, &home.paths.state, effort.finds)?;
        drop(others);
        proved.push(Point::of(connections, printed.proved));
        raw.push(Point::of(connections, printed.raw));
    }
    daemon.expect_owner(&home.paths)?;
    let lines = vec![Line::of("find, proved", proved), Line::of("bare round trip", raw)];
    Ok(Series::of(
        "find",
        "A warm find beside idle connections",
        "idle connections",
        "µs per find",
        lines,
        Law::Flat,
    ))
}

/// Clients that come at once, each for a proof: connect, handshake, close.
fn found_at_once(best: &Programs, effort: &Effort) -> Result<Series> {
    let (home, daemon) = daemon(best)?;
    let question = closing("POST /v1/handshake", daemon.port, Request::HANDSHAKE.body);
    let (mut all, mut each) = (Vec::new(), Vec::new());
    for clients in AT_ONCE {
        let (mut times, mut latencies) = (Vec::new(), Vec::new());
        // The first is not counted.
        for round in 0..=effort.bursts {
            let served = Load::burst(daemon.port, question.as_bytes(), clients)?;
            if round > 0 {
                times.push(served.took.as_secs_f64() * 1e6);
                latencies.extend(served.latencies);
            }
        }
        all.push(Point::over(clients, &times)?);
        each.push(Point::over(clients, &latencies)?);
    }
    daemon.expect_owner(&home.paths)?;
    let lines = vec![Line::of("until the last has its proof", all), Line::of("each, from its request", each)];
    Ok(Series::of("finds", "Clients that come at once for a proof", "clients", "µs", lines, Law::Linear))
}

/// Clients that stay connected and always have one request in flight.
fn in_flight(echo: &std::path::Path, effort: &Effort) -> Result<Series> {
    let mut lines = Vec::new();
    for (name, rung) in [("the product", Rung::Product), ("bare hyper", Rung::Bare)] {
        let mut points = Vec::new();
        for connections in CONNECTED {
            let server = Contestant::start(rung, echo, b"", Under::Nothing)?;
            let mut load = Load::connect(server.port, &Route::Echo.question(&server), connections)?;
            let mut latencies = Vec::new();
            for _ in 0..effort.loads {
                latencies.extend(load.run(Until::Time(effort.load))?.latencies);
            }
            drop(load);
            server.end()?;
            points.push(Point::over(connections, &latencies)?);
        }
        lines.push(Line::of(name, points));
    }
    Ok(Series::of(
        "echo",
        "An echo, one request in flight per client",
        "clients",
        "µs per answer",
        lines,
        Law::Linear,
    ))
}

/// Clients that all need the daemon which none of them has yet.
fn herds(best: &Programs, effort: &Effort) -> Result<Series> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for clients in HERDS {
        eprintln!("a herd of {clients}");
        let row = herd::measure(best, clients, effort.herds)?;
        anyhow::ensure!(
            row.failures == 0 && row.launches == 1,
            "{} failures, {} launches",
            row.failures,
            row.launches
        );
        let number = usize::try_from(clients).context("a number of clients")?;
        cold.push(Point::of(number, row.cold));
        warm.push(Point::of(number, row.warm));
    }
    let lines = vec![Line::of("no daemon yet", cold), Line::of("a daemon runs", warm)];
    Ok(Series::of(
        "herd",
        "As many `url` at once",
        "clients",
        "µs until the last has ended",
        lines,
        Law::Linear,
    ))
}

fn daemon(best: &Programs) -> Result<(Home, Daemon)> {
    let home = Home::make(&std::env::temp_dir(), &best.aileron, Watch::Events)?;
    home.setting.client(&["url"])?.finish()?.expect_status(0)?;
    let daemon = Daemon::at_path("the daemon", &home.paths, &best.aileron)?;
    Ok((home, daemon))
}

fn closing(line: &str, port: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

impl Point {
    fn over(number: usize, measured: &[f64]) -> Result<Self> {
        Ok(Self::of(number, Spread::of(measured).context("something was measured")?))
    }
}
