//! The last lines of a log that grows to its cap.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::document::{Line, Point, Series};
use super::target::Law;
use crate::world::client::Setting;
use crate::world::home::{Home, Watch};

/// Bytes; the last is the cap that a daemon has by default (`--log-max-size`).
const SIZES: [usize; 6] = [65_536, 262_144, 1_048_576, 2_621_440, 5_242_880, 10_485_760];
const LINES: usize = 100;
const TAIL: &str = "/usr/bin/tail";

/// In turns with `tail -n`, which knows nothing of JSON.
pub(super) fn measure(binary: &Path, rounds: usize) -> Result<Series> {
    let home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
    let state = &home.paths.state;
    DirBuilder::new().mode(0o700).create(state).context("cannot make a state directory")?;
    let log = state.join("daemon.log");
    let count = LINES.to_string();
    let path = log.to_string_lossy().into_owned();
    let tail = Setting { binary: TAIL.into(), ..home.setting.clone() };
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for size in SIZES {
        let last = fill(&log, size)?;
        let (mut times, mut tails) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let took = last_lines(&home.setting, &["daemon", "logs", "-n", &count], &last)?;
            let tail_took = last_lines(&tail, &["-n", &count, &path], &last)?;
            // The first brings the file into memory.
            if round > 0 {
                times.push(took);
                tails.push(tail_took);
            }
        }
        ours.push(Point::over(size, &times)?);
        limit.push(Point::over(size, &tails)?);
    }
    let lines = vec![Line::of("aileron daemon logs -n 100", ours), Line::of("tail -n 100", limit)];
    let title = "The last lines of a log that grows to its cap";
    Ok(Series::of("logs", title, "bytes in the log", "µs of the whole process", lines, Law::Flat))
}

/// Lines as a daemon writes them, up to so many bytes. Returns what stands in the last and in no other.
fn fill(log: &Path, size: usize) -> Result<String> {
    let mut text = String::with_capacity(size + 256);
    let mut number = 0_u64;
    let mut last = String::new();
    while text.len() < size {
        number += 1;
        last = format!("request number {number:09} of {size}");
        writeln!(
            text,
            "{{\"timestamp\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"INFO\",\"fields\":{{\"event\":\"said\",\"message\":\"{last}\"}}}}"
        )
        .context("writing to a string")?;
    }
    let mut file: File = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(log)
        .context("cannot make a log")?;
    file.write_all(text.as_bytes()).context("cannot write a log")?;
    Ok(last)
}

/// Microseconds; the lines have to be there.
fn last_lines(setting: &Setting, arguments: &[&str], last: &str) -> Result<f64> {
    let answer = setting.client(arguments)?.finish()?;
    answer.expect_status(0)?;
    let lines = answer.stdout.lines().count();
    let right = lines == LINES && answer.stdout.lines().last().is_some_and(|line| line.contains(last));
    ensure!(right, "`{}` printed {lines} lines and not the last {LINES}", answer.shown);
    Ok(answer.took_ms() * 1e3)
}
