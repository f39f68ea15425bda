//! `bench server`: what a request costs, and how many are answered, one layer after the other.
//!
//! ```text
//! server ── load (one thread, many connections) ──> contestant (a server process, timed or counted)
//!   └── build (the example, and once more without the fence) ──> document ──> page
//! ```

mod build;
mod contestant;
mod document;
mod load;
mod page;
mod target;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::document::{LayerRow, LoadRow};
use super::origin::Origin;
use super::{finish, instructions};
use crate::args::RunArgs;
use crate::figures::Spread;
use crate::workspace::Workspace;
use crate::world::{machine, observe, program};

pub(super) use self::build::WHAT;
pub(super) use self::contestant::{Contestant, Rung, Under};
pub(super) use self::document::Document;
pub(super) use self::load::{Load, Until};
pub(super) use self::page::{report, standings};

/// What its kept runs are called.
pub(super) const NAME: &str = "server";

const CONNECTIONS: [usize; 3] = [1, 64, 1000];
/// How often each is loaded, and for how long.
const ROUNDS: (usize, Duration) = (7, Duration::from_secs(1));
const QUICK: (usize, Duration) = (2, Duration::from_millis(150));
/// Requests of two counted runs of one server: the difference is free of its start and its end.
const COUNTED: (u32, u32) = (100, 2100);
const COUNTED_QUICK: (u32, u32) = (50, 350);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Control,
    Echo,
}

impl Route {
    const ALL: [Self; 3] = [Self::Health, Self::Control, Self::Echo];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Health => "GET /healthz",
            Self::Control => "GET /v1/daemon",
            Self::Echo => "POST /echo",
        }
    }

    /// Who can be asked for it. What the control route tells only the product knows; hyper has the same bytes ready.
    fn rungs(self) -> &'static [Rung] {
        match self {
            Self::Health => &[Rung::Bare, Rung::Router, Rung::Product],
            Self::Control => &[Rung::Bare, Rung::Product],
            Self::Echo => &Rung::ALL,
        }
    }

    /// The bytes on the wire: the same for every server but for port and token.
    pub(super) fn question(self, contestant: &Contestant) -> Vec<u8> {
        const BODY: &str = "thirty-two bytes that come back\n";
        let Contestant { port, token, .. } = contestant;
        let (rest, body) = match self {
            Self::Echo => (format!("Content-Length: {}\r\n", BODY.len()), BODY),
            Self::Health | Self::Control => (String::new(), ""),
        };
        let head = format!(
            "{} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n",
            self.name()
        );
        format!("{head}{rest}\r\n{body}").into_bytes()
    }
}

/// Runs `bench server`.
///
/// # Errors
/// When something cannot be built or set up, or a part gives no figure.
pub(crate) fn run(workspace: &Workspace, args: &RunArgs) -> Result<()> {
    let binary = program::find_or_build(None, workspace)?;
    let echo = build::echo(workspace)?;
    observe::become_subreaper()?;
    let begun = Instant::now();
    let file_system = machine::file_system(&std::env::temp_dir())?;
    let mut document = Document {
        origin: Origin::of(args.command_line(NAME), &binary, vec![file_system], begun),
        counted_by: instructions::COUNTED_BY.to_owned(),
        loads: Vec::new(),
        layers: Vec::new(),
        unmeasured: Vec::new(),
    };
    let bench = Bench { control: control_document(&echo)?, echo, quick: args.quick };
    for route in Route::ALL {
        for connections in CONNECTIONS {
            eprintln!("{}, {connections} connections", route.name());
            match bench.load(route, connections) {
                Ok(rows) => document.loads.extend(rows),
                Err(error) => document.note(&format!("{}, {connections} connections", route.name()), &error),
            }
        }
        eprintln!("{}, counted", route.name());
        match bench.count(route) {
            Ok(rows) => document.layers.extend(rows),
            Err(error) => document.note(&format!("{}, counted", route.name()), &error),
        }
    }
    document.origin.took_s = begun.elapsed().as_secs_f64().round();
    finish(&report(&document), &document, NAME, &args.output, workspace)
}

/// What the control route answers: another server is to send as many bytes.
fn control_document(echo: &contestant::Echo) -> Result<Vec<u8>> {
    let daemon = Contestant::start(Rung::Product, echo.program(Rung::Product), b"", Under::Nothing)?;
    let answer = crate::world::http::Request {
        method: "GET",
        path: "/v1/daemon",
        token: Some(&daemon.token),
        body: "",
    }
    .send(daemon.port)?;
    ensure!(answer.status == 200, "the control route answers {answer:?}");
    daemon.end()?;
    Ok(answer.body.into_bytes())
}

struct Bench {
    echo: contestant::Echo,
    control: Vec<u8>,
    quick: bool,
}

/// What one server did in all rounds.
#[derive(Default)]
struct Loaded {
    rates: Vec<f64>,
    latencies: Vec<f64>,
    cpu_us: f64,
    requests: f64,
}

impl Bench {
    fn start(&self, rung: Rung, under: Under) -> Result<Contestant> {
        Contestant::start(rung, self.echo.program(rung), &self.control, under)
    }

    /// All servers of a route run side by side, and are loaded in turns, each round beginning with another.
    fn load(&self, route: Route, connections: usize) -> Result<Vec<LoadRow>> {
        let (rounds, time) = if self.quick { QUICK } else { ROUNDS };
        let mut servers = Vec::new();
        for rung in route.rungs() {
            let server = self.start(*rung, Under::Nothing)?;
            let load = Load::connect(server.port, &route.question(&server), connections)
                .with_context(|| rung.name())?;
            servers.push((*rung, server, load, Loaded::default()));
        }
        for round in 0..rounds {
            for turn in 0..servers.len() {
                let at = (round + turn) % servers.len();
                let (rung, server, load, loaded) = &mut servers[at];
                let before = observe::cpu_us(server.pid())?;
                let answers = load.run(Until::Time(time)).with_context(|| rung.name())?;
                loaded.cpu_us += observe::cpu_us(server.pid())? - before;
                loaded.requests += count(answers.latencies.len());
                loaded.rates.push(answers.rate());
                loaded.latencies.extend(answers.latencies);
            }
        }
        let mut rows: Vec<LoadRow> = Vec::new();
        for (rung, server, load, loaded) in servers {
            drop(load);
            server.end().with_context(|| rung.name())?;
            let rate = Spread::of(&loaded.rates).context("there was a round")?;
            let ratio = rows.first().map_or(1.0, |bare| rate.median / bare.rate.median);
            let promised = route == Route::Echo && rung.is_promised();
            rows.push(LoadRow {
                route: route.name().to_owned(),
                connections,
                server: rung.name().to_owned(),
                rate,
                ratio,
                latency: Spread::of(&loaded.latencies).context("there was an answer")?,
                cpu_us: loaded.cpu_us / loaded.requests,
                check: promised.then(|| target::rate(ratio)),
            });
        }
        Ok(rows)
    }

    /// Instructions per request of each server, on one connection.
    fn count(&self, route: Route) -> Result<Vec<LayerRow>> {
        instructions::can_be_counted()?;
        let (few, many) = if self.quick { COUNTED_QUICK } else { COUNTED };
        let mut rows: Vec<LayerRow> = Vec::new();
        for rung in route.rungs() {
            let step = || format!("{} under valgrind", rung.name());
            let [least, most] = [few, many].map(|requests| self.counted(*rung, route, requests));
            let each = (most.with_context(step)? - least.with_context(step)?) / f64::from(many - few);
            let ratio = rows.first().map_or(1.0, |bare| each / bare.instructions);
            let of = |below: &Rung| rows.iter().find(|row| row.server == below.name());
            let below = rung.below().iter().find_map(of);
            let added = below.map_or(each, |below| each - below.instructions);
            let promised = route == Route::Echo && rung.is_promised();
            rows.push(LayerRow {
                route: route.name().to_owned(),
                server: rung.name().to_owned(),
                instructions: each,
                ratio,
                added,
                check: promised.then(|| target::instructions(ratio)),
            });
        }
        Ok(rows)
    }

    fn counted(&self, rung: Rung, route: Route, requests: u32) -> Result<f64> {
        let server = self.start(rung, Under::Valgrind)?;
        let mut load = Load::connect(server.port, &route.question(&server), 1)?;
        load.run(Until::Answers(requests))?;
        drop(load);
        instructions::read(&server.end()?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of some millions")]
fn count(number: usize) -> f64 {
    number as f64
}
