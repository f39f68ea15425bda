//! A client that has to start the daemon: on an empty directory, and after the daemon was killed.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::build::{Build, Programs};
use super::document::StartRow;
use super::process::TRUE;
use super::target;
use crate::figures::Spread;
use crate::world::client::{Answer, Setting};
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};
use crate::world::observe::wait_asleep;

const GONE: std::time::Duration = std::time::Duration::from_secs(10);

/// The times of one build, in microseconds.
struct Times {
    build: Build,
    empty: Vec<f64>,
    killed: Vec<f64>,
    bare: Vec<f64>,
}

/// Each round, each build: a new home, `url`, `SIGKILL`, `url` again, and `/bin/true`.
pub(super) fn measure(programs: &[Programs], rounds: usize) -> Result<Vec<StartRow>> {
    let fresh = |programs: &Programs| Times {
        build: programs.build,
        empty: Vec::new(),
        killed: Vec::new(),
        bare: Vec::new(),
    };
    let mut all: Vec<Times> = programs.iter().map(fresh).collect();
    for round in 0..=rounds {
        for turn in 0..programs.len() {
            let at = (round + turn) % programs.len();
            let [empty, killed, bare] = play(&programs[at])?;
            // The first round brings the files into memory.
            if round > 0 {
                all[at].empty.push(empty);
                all[at].killed.push(killed);
                all[at].bare.push(bare);
            }
        }
    }
    let mut rows = Vec::new();
    for Times { build, empty, killed, bare } in all {
        let bare = Spread::of(&bare).context("there was a round")?;
        for (found, times) in [("an empty home", empty), ("a killed daemon's files", killed)] {
            let time = Spread::of(&times).context("there was a round")?;
            let check = Some(target::start(&time));
            let ratio = time.median / bare.median;
            rows.push(StartRow {
                found: found.to_owned(),
                build: build.name().to_owned(),
                time,
                ratio,
                check,
            });
        }
    }
    Ok(rows)
}

fn play(programs: &Programs) -> Result<[f64; 3]> {
    let binary = &programs.aileron;
    let home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
    let bare = Setting { binary: TRUE.into(), ..home.setting.clone() }.client(&[])?.finish()?;
    bare.expect_status(0)?;
    let (empty, first) = started(&home, programs)?;
    wait_asleep(first.pid())?;
    first.process.signal(Signal::KILL)?;
    ensure!(first.process.wait_gone(GONE)?, "a daemon outlives SIGKILL");
    first.process.reap()?;
    let (killed, second) = started(&home, programs)?;
    ensure!(second.pid() != first.pid() && second.instance != first.instance, "the killed daemon was found");
    Ok([&empty, &killed, &bare].map(micros))
}

/// One `url`, and the daemon that it was about: the URL is the record's, and the record is of the process that holds the lock.
fn started(home: &Home, programs: &Programs) -> Result<(Answer, Daemon)> {
    let answer = home.setting.client(&["url"])?.finish()?;
    answer.expect_status(0)?;
    let daemon = Daemon::at_path("the daemon", &home.paths, &programs.aileron)?;
    ensure!(answer.stdout.trim_end() == daemon.url, "`url` printed {:?}", answer.stdout);
    Ok((answer, daemon))
}

fn micros(answer: &Answer) -> f64 {
    answer.took_ms() * 1e3
}
