//! `daemon logs`: the last lines, and what comes after them.

mod follow;
pub(crate) mod view;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, SeekFrom};

use aileron_discovery::{StateDir, StateFile, probe_lock};

use self::follow::Follower;
use self::view::View;
use crate::args::Logs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// How many lines are shown where nothing says how many.
const LINES: usize = 100;

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
    let mut view = View::new(output, since);
    // Whoever says since when wants all of that time.
    let count = args.lines.unwrap_or(if since.is_some() { usize::MAX } else { LINES });
    let mut current = open(dir, StateFile::Log)?;
    if current.is_none() && !args.follow {
        return without_log(settings);
    }
    let mut old = open(dir, StateFile::OldLog)?;
    let mut lines = VecDeque::new();
    if let Some(file) = &mut current {
        lines = last_lines(file, count).map_err(|error| unreadable(dir, &error))?;
    }
    if lines.len() < count
        && let Some(old) = &mut old
    {
        let older = last_lines(old, count - lines.len()).map_err(|error| unreadable(dir, &error))?;
        older.into_iter().rev().for_each(|line| lines.push_front(line));
    }
    for line in &lines {
        if !view.print(line) {
            return Ok(ExitStatus::Done);
        }
    }
    if args.follow {
        if current.is_none() {
            output.note("there is no log yet; waiting for one");
        }
        Follower::new(dir, current, old).follow(&mut view)?;
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
    from_the_end(file, count, FIRST_BLOCK)
}

/// The same, in blocks that begin with one of `block` bytes.
pub(crate) fn from_the_end(
    file: &mut (impl Read + io::Seek),
    count: usize,
    mut block: u64,
) -> io::Result<VecDeque<String>> {
    let length = file.seek(SeekFrom::End(0))?;
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
}
