//! `daemon status`: is there one? Starts nothing, writes nothing.

use std::time::Duration;

use aileron_discovery::process::Elsewhere;
use aileron_discovery::protocol::control::DaemonView;
use aileron_discovery::{Deadline, ExitRecord, Hold, LockProbe, StateFile, probe_lock};
use aileron_spawn::{Finding, control};
use serde_json::{Value, json};

use crate::duration;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

pub(crate) fn status(settings: &Settings, output: Output) -> Result<ExitStatus, Failure> {
    let deadline = Deadline::after(settings.start_timeout().min(Duration::from_secs(5)));
    let report = Report::gather(settings, deadline)?;
    output.either(|| report.document(settings), || report.text(settings));
    Ok(report.state.exit_status())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Starting,
    NotRunning,
    Unresponsive,
    Elsewhere,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::NotRunning => "not_running",
            Self::Unresponsive => "unresponsive",
            Self::Elsewhere => "elsewhere",
        }
    }

    fn exit_status(self) -> ExitStatus {
        match self {
            Self::Running => ExitStatus::Done,
            Self::NotRunning => ExitStatus::NotRunning,
            Self::Starting | Self::Unresponsive => ExitStatus::Unresponsive,
            Self::Elsewhere => ExitStatus::Elsewhere,
        }
    }
}

/// Everything that can be told without asking for more than reading.
struct Report {
    state: State,
    url: Option<String>,
    pid: Option<u32>,
    instance: Option<String>,
    version: Option<String>,
    started_at: Option<String>,
    /// What the state needs said of it.
    why: Option<String>,
    view: Option<DaemonView>,
    /// `None`: this user is kept from it, which matters to nobody where a daemon is proved.
    lock: Option<LockProbe>,
    hold: bool,
    last_exit: Option<ExitRecord>,
}

impl Report {
    fn gather(settings: &Settings, deadline: Deadline) -> Result<Self, Failure> {
        let dir = &settings.state_dir;
        let (finding, view) = control::find_and_view(dir, deadline)?;
        let (view, silence) = match view.transpose() {
            Ok(view) => (view, None),
            Err(error) => (None, Some(format!("it says no more of itself: {error}"))),
        };
        let mut report = Self {
            state: State::NotRunning,
            url: None,
            pid: None,
            instance: None,
            version: None,
            started_at: None,
            why: silence,
            view,
            lock: match probe_lock(dir) {
                Err(error) if error.is_denied() && matches!(finding, Finding::Found(_)) => None,
                probed => Some(probed?),
            },
            hold: Hold::is_set(dir)?,
            last_exit: ExitRecord::read(dir).ok().flatten(),
        };
        match finding {
            Finding::Explicit(url) => {
                report.state = State::Running;
                report.why =
                    Some(format!("{} names it; nothing was asked", settings.tool.env_var("API_URL")));
                report.url = Some(url);
            }
            Finding::Found(found) => {
                report.state = State::Running;
                report.url = Some(found.url());
                report.pid = Some(found.pid());
                report.instance = found.instance().map(ToString::to_string);
                report.version = Some(found.record().version.clone());
                report.started_at = Some(found.record().started_at.clone());
            }
            Finding::NotRunning { stale } => {
                report.why = stale.map(|why| format!("the record is stale: {why}"));
            }
            Finding::Starting { pid } => (report.state, report.pid) = (State::Starting, Some(pid)),
            Finding::Unadvertised { pid, why } => {
                (report.state, report.pid, report.why) = (State::Unresponsive, Some(pid), Some(why));
            }
            Finding::Unresponsive { pid, why, elapsed } => {
                (report.state, report.pid) = (State::Unresponsive, pid);
                report.why = Some(format!("{why} (tried for {})", duration::show(elapsed)));
            }
            Finding::Elsewhere { elsewhere, pid, host } => {
                report.state = State::Elsewhere;
                let place = match elsewhere {
                    Elsewhere::Host(_) => format!("on host `{host}`"),
                    Elsewhere::Boot => format!("on another boot of `{host}`"),
                    Elsewhere::Namespace => "in another pid or network namespace (a container?)".to_owned(),
                };
                report.why = Some(format!("{place}; its record names pid {pid} there"));
            }
            _ => {}
        }
        Ok(report)
    }

    fn document(&self, settings: &Settings) -> Value {
        let dir = &settings.state_dir;
        let view = self.view.as_ref();
        json!({
            "schema": 1,
            "state": self.state.name(),
            "why": self.why,
            "url": self.url,
            "pid": self.pid,
            "instance": self.instance,
            "epoch": view.and_then(|view| view.epoch),
            "version": self.version,
            "protocol": view.map(|view| view.protocol),
            "started_at": self.started_at,
            "uptime_ms": view.map(|view| view.uptime_ms),
            "idle_exit_ms": view.and_then(|view| view.idle_exit_ms),
            "in_flight": view.map(|view| view.in_flight),
            "state_dir": { "path": dir.root().to_string_lossy(), "rule": dir.rule().name() },
            "lock": {
                "held": self.lock.map(|lock| lock.is_held()),
                "at_path": self.lock.and_then(|lock| lock.file()),
                "by_daemon": view.map(|view| view.held),
            },
            "watcher": view.map(|view| &view.watcher),
            "record_fault": view.and_then(|view| view.record_fault.as_ref()),
            "options": view.map(|view| &view.options),
            "log": dir.path(StateFile::Log).to_string_lossy(),
            "hold": self.hold,
            "last_exit": self.last_exit,
        })
    }

    /// First what a person wants to know, then the rest, aligned.
    fn text(&self, settings: &Settings) -> String {
        let dir = &settings.state_dir;
        let mut first = self.state.name().replace('_', " ");
        for part in [&self.url, &self.pid.map(|pid| format!("pid {pid}"))].into_iter().flatten() {
            first = format!("{first}  {part}");
        }
        let mut rows: Vec<Row> = Vec::new();
        rows.extend(self.why.iter().map(|why| ("why", why.clone())));
        if let Some(view) = &self.view {
            rows.extend(rows_of(view));
        } else if let (Some(version), Some(started_at)) = (&self.version, &self.started_at) {
            // It was proved, and did not say more.
            rows.push(("version", version.clone()));
            rows.push(("started", started_at.clone()));
            rows.extend(self.instance.iter().map(|instance| ("instance", instance.clone())));
        }
        rows.push(("directory", format!("{} (by {})", dir.root().display(), dir.rule().name())));
        rows.push(("lock", lock_text(self.lock, self.view.as_ref())));
        rows.push(("log", dir.path(StateFile::Log).display().to_string()));
        if self.hold {
            rows.push(("hold", "set: clients start nothing until `aileron daemon start`".to_owned()));
        }
        if let Some(exit) = &self.last_exit {
            let up = duration::show(Duration::from_millis(exit.uptime_ms));
            let (reason, at, pid) = (&exit.reason, &exit.at, exit.pid);
            rows.push(("last exit", format!("{reason} at {at} (pid {pid}, up {up})")));
        }
        rows.iter().fold(first, |text, (name, value)| text + &row(name, value))
    }
}

/// A name and what is to be said of it.
type Row = (&'static str, String);

/// What a daemon says of itself.
fn rows_of(view: &DaemonView) -> Vec<Row> {
    let show = |millis| duration::show(Duration::from_millis(millis));
    let idle_exit = view.idle_exit_ms.map_or_else(|| "never".to_owned(), |left| format!("in {}", show(left)));
    let every = show(view.watcher.interval_ms);
    let watcher = match view.watcher.mode.as_str() {
        "events" => format!("file events, and a look every {every}"),
        _ => format!("poll: a look every {every}, because {}", view.watcher.missing.join("; ")),
    };
    let mut rows = vec![
        ("up", format!("{}, since {}", show(view.uptime_ms), view.started_at)),
        ("version", format!("{}, protocol {}", view.version, view.protocol)),
        ("instance", view.instance.to_string()),
        ("in flight", view.in_flight.to_string()),
        ("idle exit", idle_exit),
        ("watcher", watcher),
    ];
    rows.extend(view.record_fault.iter().map(|fault| ("record", fault.clone())));
    rows
}

fn lock_text(lock: Option<LockProbe>, view: Option<&DaemonView>) -> String {
    let Some(lock) = lock else { return "may not be looked at: check its owner and mode".to_owned() };
    match (lock, view.map(|view| view.held)) {
        (LockProbe::Absent, None) => "there is none".to_owned(),
        (LockProbe::Absent, Some(held)) => format!("the daemon holds inode {held}, and none is at the path"),
        (LockProbe::Free(file), None) => format!("free, inode {file}"),
        (LockProbe::Held(file), None) => format!("held, inode {file}"),
        (LockProbe::Held(file), Some(held)) if file == held => {
            format!("held by the daemon and at the path, inode {file}")
        }
        (LockProbe::Held(file) | LockProbe::Free(file), Some(held)) => {
            format!("the daemon holds inode {held}, and inode {file} is at the path")
        }
    }
}

/// Columns that a terminal has at the least.
const WIDTH: usize = 80;

/// Where the values begin.
const INDENT: usize = 13;

/// One row, broken at spaces. A word that is too long stays whole: a path that is broken cannot be copied.
fn row(name: &str, value: &str) -> String {
    let mut text = format!("\n  {name:<10}");
    let mut column = INDENT - 1;
    let words = value.split(' ');
    for (number, word) in words.enumerate() {
        let length = word.chars().count();
        if number > 0 && column + 1 + length > WIDTH {
            text.extend(std::iter::once('\n').chain(std::iter::repeat_n(' ', INDENT - 1)));
            column = INDENT - 1;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_broken_at_spaces_and_aligned() {
        assert_eq!(row("up", "5s"), "\n  up         5s");
        let long = format!("poll: {} because of a word after it", "x".repeat(60));
        let expected =
            format!("\n  watcher    poll: {}\n             because of a word after it", "x".repeat(60));
        assert_eq!(row("watcher", &long), expected);
    }
}
