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
    output.result(&report.document(settings), &report.text(settings));
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
        let mut report = Self {
            state: State::NotRunning,
            url: None,
            pid: None,
            instance: None,
            version: None,
            started_at: None,
            why: None,
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
                (report.state, report.pid) = (State::Elsewhere, Some(pid));
                report.why = Some(match elsewhere {
                    Elsewhere::Host(_) => format!("on host `{host}`"),
                    Elsewhere::Boot => format!("on another boot of `{host}`"),
                    Elsewhere::Namespace => "in another pid or network namespace (a container?)".to_owned(),
                });
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

    fn text(&self, settings: &Settings) -> String {
        let dir = &settings.state_dir;
        let mut first = self.state.name().replace('_', " ");
        for part in [&self.url, &self.pid.map(|pid| format!("pid {pid}")), &self.why].into_iter().flatten() {
            first = format!("{first}  {part}");
        }
        let mut rows = Vec::new();
        if let Some(view) = &self.view {
            rows.push(("up", duration::show(Duration::from_millis(view.uptime_ms))));
            rows.push(("version", format!("{}, protocol {}", view.version, view.protocol)));
            rows.push(("instance", view.instance.to_string()));
            rows.push(("in flight", view.in_flight.to_string()));
            if let Some(left) = view.idle_exit_ms {
                rows.push(("idle exit", format!("in {}", duration::show(Duration::from_millis(left)))));
            }
            let every = duration::show(Duration::from_millis(view.watcher.interval_ms));
            rows.push(("watcher", format!("{}, a look every {every} at the least", view.watcher.mode)));
            rows.extend(view.watcher.missing.iter().map(|missing| ("", missing.clone())));
            rows.extend(view.record_fault.iter().map(|fault| ("record", fault.clone())));
        }
        rows.push(("directory", format!("{} ({})", dir.root().display(), dir.rule().name())));
        rows.push(("lock", lock_text(self.lock)));
        rows.push(("log", dir.path(StateFile::Log).display().to_string()));
        if self.hold {
            rows.push(("hold", "set: clients start nothing until `aileron daemon start`".to_owned()));
        }
        if let Some(exit) = self.last_exit.as_ref().filter(|_| self.state != State::Running) {
            rows.push(("last exit", format!("{} at {} (pid {})", exit.reason, exit.at, exit.pid)));
        }
        rows.iter().fold(first, |text, (name, value)| format!("{text}\n  {name:<10} {value}"))
    }
}

fn lock_text(lock: Option<LockProbe>) -> String {
    match lock {
        None => "may not be looked at: check its owner and mode".to_owned(),
        Some(LockProbe::Absent) => "there is none".to_owned(),
        Some(LockProbe::Free(file)) => format!("free, inode {file}"),
        Some(LockProbe::Held(file)) => format!("held, inode {file}"),
    }
}
