//! A daemon that nobody wants anything of: how often it wakes, and with how many threads.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::document::{Idle, IdleThread};
use super::target;
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};
use crate::world::observe::{threads, wait_asleep};

/// Starts one with its events armed and no client, and counts its context switches over that time.
pub(super) fn measure(binary: &Path, time: Duration) -> Result<Idle> {
    let home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
    home.setting.client(&["url"])?.finish()?.expect_status(0)?;
    let daemon = Daemon::at_path("the daemon", &home.paths, binary)?;
    let line = daemon.log.first("watching")?.context("the log has no `watching`")?;
    ensure!(line.field("mode").as_deref() == Some("events"), "the events are not armed: {line}");
    let interval = line.field("interval_ms").and_then(|text| text.parse().ok());
    let poll_interval_ms: f64 = interval.context("the log tells no interval")?;
    wait_asleep(daemon.pid())?;
    let (before, begun) = (threads(daemon.pid())?, Instant::now());
    ensure!(!daemon.process.wait_gone(time)?, "an idle daemon ended");
    let (after, seconds) = (threads(daemon.pid())?, super::round::seconds_since(begun));
    let counted: Vec<IdleThread> = after
        .into_iter()
        .map(|thread| {
            let earlier = before.iter().find(|earlier| earlier.id == thread.id);
            let (voluntary, involuntary) =
                earlier.map_or((0, 0), |earlier| (earlier.voluntary, earlier.involuntary));
            IdleThread {
                name: thread.name,
                voluntary: thread.voluntary - voluntary,
                involuntary: thread.involuntary - involuntary,
            }
        })
        .collect();
    let wake_ups = counted.iter().map(|thread| thread.voluntary).sum();
    Ok(Idle {
        thread_check: target::threads(counted.len()),
        wake_up_check: target::wake_ups(wake_ups, target::looks(seconds, poll_interval_ms)),
        seconds,
        poll_interval_ms,
        threads: counted,
    })
}
