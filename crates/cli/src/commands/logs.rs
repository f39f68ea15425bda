//! `daemon logs`: the last lines, and what comes after them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::time::Duration;

use aileron_discovery::{StateDir, StateFile, file_identity, held_identity, probe_lock};
use serde_json::Value;

use crate::args::Logs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// How often a followed log is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);

/// How much of a log's end is read at first for its last lines, in bytes.
const FIRST_BLOCK: u64 = 64 * 1024;

/// How much is read at most: more than a log ever holds. What is longer was not written by a daemon.
const LARGEST_BLOCK: u64 = 32 * 1024 * 1024;

/// Of a longer line only the end is shown, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

pub(crate) fn logs(settings: &Settings, args: &Logs, output: Output) -> Result<ExitStatus, Failure> {
    let dir = &settings.state_dir;
    let since = args.since.map(|age| {
        let age = jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX);
        jiff::Timestamp::now().checked_sub(age).unwrap_or(jiff::Timestamp::MIN)
    });
    let view = View { json: output.json, since };
    let mut current = open(dir, StateFile::Log)?;
    if current.is_none() && !args.follow {
        return without_log(settings);
    }
    let mut lines = VecDeque::new();
    if let Some(file) = &mut current {
        lines = last_lines(file, args.lines).map_err(|error| unreadable(dir, &error))?;
    }
    if lines.len() < args.lines
        && let Some(mut old) = open(dir, StateFile::OldLog)?
    {
        let older =
            last_lines(&mut old, args.lines - lines.len()).map_err(|error| unreadable(dir, &error))?;
        older.into_iter().rev().for_each(|line| lines.push_front(line));
    }
    for line in &lines {
        if !view.print(line) {
            return Ok(ExitStatus::Done);
        }
    }
    if args.follow {
        follow(dir, current, &view)?;
    }
    Ok(ExitStatus::Done)
}

/// Neither a log nor, perhaps, a daemon.
fn without_log(settings: &Settings) -> Result<ExitStatus, Failure> {
    let path = settings.state_dir.path(StateFile::Log);
    if probe_lock(&settings.state_dir)?.is_held() {
        return Err(Failure::new(
            "no_log",
            ExitStatus::Failed,
            "a daemon is running and has no log".to_owned(),
        )
        .at(&path)
        .step("open the log"));
    }
    Err(Failure::new(
        "not_running",
        ExitStatus::NotRunning,
        "there is no log, and no daemon is running".to_owned(),
    )
    .at(&path)
    .step("open the log")
    .hint("`aileron daemon start` starts one"))
}

fn open(dir: &StateDir, file: StateFile) -> Result<Option<File>, Failure> {
    match dir.open_file(file) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            // What is no file is no log; the owner replaces it.
            dir.check()?;
            if error.raw_os_error().is_none() { Ok(None) } else { Err(unreadable(dir, &error)) }
        }
    }
}

fn unreadable(dir: &StateDir, error: &io::Error) -> Failure {
    Failure::new("log", ExitStatus::Failed, format!("cannot read the log: {error}"))
        .at(&dir.path(StateFile::Log))
        .step("read the log")
}

/// The last lines of a file, read from its end: the cost is that of the lines, not of the file. Leaves it at its end.
fn last_lines(file: &mut File, count: usize) -> io::Result<VecDeque<String>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut block = FIRST_BLOCK;
    loop {
        let start = length.saturating_sub(block);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        Read::by_ref(file).take(length - start).read_to_end(&mut bytes)?;
        let whole = start == 0 || block >= LARGEST_BLOCK;
        // A block that begins inside the file begins inside a line, most likely.
        let skip = usize::from(start > 0 && !whole);
        let lines = bytes.split(|byte| *byte == b'\n').skip(skip).filter(|line| !line.is_empty());
        let lines: VecDeque<&[u8]> = lines.collect();
        if whole || lines.len() >= count {
            return Ok(lines
                .iter()
                .skip(lines.len().saturating_sub(count))
                .map(|line| shown(line))
                .collect());
        }
        block *= 4;
    }
}

fn shown(line: &[u8]) -> String {
    let cut = line.len().saturating_sub(LONGEST_LINE);
    let end = String::from_utf8_lossy(&line[cut..]).into_owned();
    if cut > 0 { format!("… {cut} bytes …{end}") } else { end }
}

/// Goes on for as long as somebody reads, over rotation (another file at the path), restart and displacement.
fn follow(dir: &StateDir, mut current: Option<File>, view: &View) -> Result<(), Failure> {
    let path = dir.path(StateFile::Log);
    // That of the file that is open, not of what stands at its path by now.
    let identity_of = |file: &Option<File>| file.as_ref().and_then(|file| held_identity(file).ok());
    let mut identity = identity_of(&current);
    let mut rest = String::new();
    loop {
        if let Some(file) = &mut current
            && !drain(file, &mut rest, view).map_err(|error| unreadable(dir, &error))?
        {
            return Ok(());
        }
        let there = file_identity(&path).ok();
        if there.is_some() && (there != identity || current.is_none()) {
            // What was written to the old file between the last read and the rotation.
            if let Some(file) = &mut current {
                drain(file, &mut rest, view).map_err(|error| unreadable(dir, &error))?;
            }
            if let Ok(Some(file)) = open(dir, StateFile::Log) {
                current = Some(file);
                identity = identity_of(&current);
                rest.clear();
                continue;
            }
        }
        std::thread::sleep(FOLLOW_PAUSE);
    }
}

/// Prints the whole lines that are there; keeps the beginning of one that is not whole yet in `rest`.
fn drain(file: &mut File, rest: &mut String, view: &View) -> io::Result<bool> {
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        rest.push_str(&String::from_utf8_lossy(&bytes));
        bytes.clear();
        if rest.ends_with('\n') {
            if !view.print(&shown(rest.trim_end().as_bytes())) {
                return Ok(false);
            }
            rest.clear();
        }
    }
    Ok(true)
}

/// How lines are shown.
struct View {
    json: bool,
    since: Option<jiff::Timestamp>,
}

impl View {
    /// Returns whether anybody still reads.
    fn print(&self, line: &str) -> bool {
        let parsed: Option<Value> = serde_json::from_str(line).ok();
        if let (Some(since), Some(parsed)) = (self.since, &parsed) {
            let at = parsed["timestamp"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            if at.is_some_and(|at| at < since) {
                return true;
            }
        }
        match parsed {
            Some(parsed) if !self.json => Output::stream(&render(&parsed)),
            // A line that is no JSON (a panic's, a child's) is shown as it is.
            _ => Output::stream(line),
        }
    }
}

/// `2026-01-02T03:04:05Z  INFO ready url=… pid=…`
fn render(line: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    let at = text(&line["timestamp"]);
    let at = at.split_once('.').map_or(at.as_str(), |(seconds, _)| seconds);
    let level = text(&line["level"]);
    let fields = line["fields"].as_object();
    let message = fields.and_then(|fields| fields.get("message")).map(text).unwrap_or_default();
    let mut shown = format!("{at} {level:>5} {message}");
    for (name, value) in
        fields.into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "message" | "event"))
    {
        shown.extend([" ", name, "=", &text(value)]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        for number in 0..20_000 {
            writeln!(file, "line {number}").unwrap();
        }
        let lines = last_lines(&mut file, 3).unwrap();
        assert_eq!(lines, ["line 19997", "line 19998", "line 19999"]);
        assert_eq!(last_lines(&mut file, 20_001).unwrap().len(), 20_000);
        assert_eq!(last_lines(&mut file, 0).unwrap().len(), 0);
    }

    #[test]
    fn a_line_is_rendered_for_people() {
        let line = serde_json::json!({"timestamp": "2026-01-02T03:04:05.678Z", "level": "INFO",
            "fields": {"message": "ready", "event": "ready", "pid": 42}});
        assert_eq!(render(&line), "2026-01-02T03:04:05  INFO ready pid=42");
    }
}
