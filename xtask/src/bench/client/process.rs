//! Whole processes beside one running daemon: `url` and `status`, `/bin/true`, and the bare client, in turns.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::build::{Build, Programs};
use super::document::ProcessRow;
use super::target;
use crate::figures::Spread;
use crate::world::client::Setting;
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};

/// Does nothing, and is linked dynamically with the C library.
pub(in crate::bench) const TRUE: &str = "/bin/true";

/// Of the rows, the two that are compared elsewhere too.
pub(in crate::bench) const BARE: &str = "bare, reads and connects";
pub(in crate::bench) const URL: &str = "aileron url";

/// What is run, and what it has to print.
struct Contestant {
    program: &'static str,
    build: Option<Build>,
    setting: Setting,
    arguments: Vec<String>,
    prints_url: bool,
    times: Vec<f64>,
}

/// Runs each in each round, each round beginning with another.
pub(in crate::bench) fn measure(programs: &[Programs], rounds: usize) -> Result<Vec<ProcessRow>> {
    let binary = &programs.first().context("there is a build")?.aileron;
    let home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
    home.setting.client(&["url"])?.finish()?.expect_status(0)?;
    let daemon = Daemon::at_path("the daemon", &home.paths, binary)?;
    let mut all = contestants(&home, programs);
    // The first round brings the files into memory.
    for round in 0..=rounds {
        for turn in 0..all.len() {
            let at = (round + turn) % all.len();
            let took = all[at].run(&daemon)?;
            if round > 0 {
                all[at].times.push(took);
            }
        }
    }
    daemon.expect_owner(&home.paths)?;
    rows(&all)
}

fn contestants(home: &Home, programs: &[Programs]) -> Vec<Contestant> {
    let record = home.paths.state.join("daemon.json").to_string_lossy().into_owned();
    let run = |program, build, binary: &Path, arguments: &[&str], prints_url| Contestant {
        program,
        build,
        setting: Setting { binary: binary.to_path_buf(), ..home.setting.clone() },
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        prints_url,
        times: Vec::new(),
    };
    let mut all = vec![run("/bin/true", None, &PathBuf::from(TRUE), &[], false)];
    for Programs { build, aileron, bare } in programs {
        let build = Some(*build);
        all.push(run("bare, does nothing", build, bare, &[], false));
        all.push(run(BARE, build, bare, &[&record], false));
        all.push(run("aileron --version", build, aileron, &["--version"], false));
        all.push(run(URL, build, aileron, &["url"], true));
        all.push(run("aileron daemon status", build, aileron, &["daemon", "status"], false));
    }
    all
}

impl Contestant {
    /// Microseconds.
    fn run(&self, daemon: &Daemon) -> Result<f64> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let answer = self.setting.client(&arguments)?.finish()?;
        answer.expect_status(0).with_context(|| self.program)?;
        let good = !self.prints_url || answer.stdout.trim_end() == daemon.url;
        ensure!(good, "`{}` printed {:?}, and not {}", self.program, answer.stdout, daemon.url);
        Ok(answer.took_ms() * 1e3)
    }
}

fn rows(all: &[Contestant]) -> Result<Vec<ProcessRow>> {
    let spread = |contestant: &Contestant| Spread::of(&contestant.times).context("there was a round");
    let limit = spread(all.first().context("there is `/bin/true`")?)?;
    all.iter()
        .map(|contestant| {
            let time = spread(contestant)?;
            let ratio = time.median / limit.median;
            let promised = contestant.prints_url && contestant.build == Some(Build::Static);
            Ok(ProcessRow {
                program: contestant.program.to_owned(),
                build: contestant.build.map(Build::name).unwrap_or_default().to_owned(),
                time,
                ratio,
                check: promised.then(|| target::url(ratio)),
            })
        })
        .collect()
}
