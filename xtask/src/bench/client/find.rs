//! Finding a daemon within a process that runs already, timed by an example program of the crate that has `find`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::document::FindRow;
use super::target;
use crate::figures::Spread;
use crate::workspace::display;
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};

/// What the example prints.
#[derive(Deserialize)]
pub(in crate::bench) struct Printed {
    #[serde(rename = "proved_us")]
    pub(in crate::bench) proved: Spread,
    #[serde(rename = "unproved_us")]
    unproved: Spread,
    #[serde(rename = "raw_us")]
    pub(in crate::bench) raw: Spread,
}

/// Runs it beside a daemon that idles.
pub(super) fn measure(program: &Path, binary: &Path, calls: usize) -> Result<Vec<FindRow>> {
    let home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
    home.setting.client(&["url"])?.finish()?.expect_status(0)?;
    let daemon = Daemon::at_path("the daemon", &home.paths, binary)?;
    let Printed { proved, unproved, raw } = timed(program, &home.paths.state, calls)?;
    daemon.expect_owner(&home.paths)?;
    let row = |what: &str, time: Spread, promised: bool| {
        let ratio = time.median / raw.median;
        FindRow { what: what.to_owned(), time, ratio, check: promised.then(|| target::find(ratio)) }
    };
    Ok(vec![
        row("open, read, connect, round trip, close", raw, false),
        row("find, unproved (a record without an instance)", unproved, false),
        row("find, proved", proved, true),
    ])
}

/// Runs it beside the daemon of that state directory.
pub(in crate::bench) fn timed(program: &Path, state: &Path, calls: usize) -> Result<Printed> {
    let mut command = Command::new(program);
    command.arg(state).arg(calls.to_string()).env_clear();
    let output = command.output().with_context(|| format!("cannot run `{}`", display(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}` failed: {}", display(&command), said.trim());
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{}` printed no such document", display(&command)))
}
