//! The bodies of the control API.

use serde::{Deserialize, Serialize};

use crate::{Epoch, FileId, InstanceId};

/// A problem document (RFC 9457), `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status code.
    pub status: u16,
    /// What happened, for programs.
    pub code: ProblemCode,
    /// What happened, for people.
    pub title: String,
}

/// What a problem is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// 503: this daemon is not, or not for certain, the daemon any more. Resolve again.
    IdentityLost,
    /// 401: no token, or a wrong one.
    Unauthorized,
    /// 403: a foreign `Host`, `Origin` or `Sec-Fetch-Site`.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 409: asked to stop if idle, and it is not.
    NotIdle,
    /// 400: a body or header that cannot be understood.
    BadRequest,
    /// 413.
    TooLarge,
    /// 500: a handler panicked.
    Internal,
    /// A code of a later version.
    #[serde(other)]
    Other,
}

/// What a daemon is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    /// It holds the lock and is not ready yet.
    Starting,
    /// It serves.
    Ready,
    /// It lets accepted requests finish and ends.
    Draining,
}

impl DaemonState {
    /// The name that goes into the handshake's MAC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// `GET /v1/daemon`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DaemonView {
    /// Version of this document.
    pub schema: u32,
    /// The tool.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The control protocol's version.
    pub protocol: u32,
    /// The pid.
    pub pid: u32,
    /// The instance.
    pub instance: InstanceId,
    /// The epoch under which it is the owner.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// What it is doing.
    pub state: DaemonState,
    /// When it started (RFC 3339, UTC).
    pub started_at: String,
    /// Since then, in milliseconds of monotonic time.
    pub uptime_ms: u64,
    /// Until it ends for want of use, in milliseconds; absent when it never does.
    pub idle_exit_ms: Option<u64>,
    /// Requests being answered, this one left out.
    pub in_flight: u64,
    /// The lock it holds.
    pub held: FileId,
    /// The file now at the lock's path.
    pub at_path: Option<FileId>,
    /// How it watches.
    pub watcher: WatcherView,
    /// Why the record could not be published or restored, while that is so.
    pub record_fault: Option<String>,
    /// What it was started with.
    pub options: DaemonOptions,
}

/// How a daemon watches its lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatcherView {
    /// `events`: armed, the poll is a backstop; `poll`: the poll alone.
    pub mode: String,
    /// The poll interval in force, in milliseconds.
    pub interval_ms: u64,
    /// What could not be watched, and why.
    pub missing: Vec<String>,
    /// Since the last look, in milliseconds.
    pub last_look_ms: u64,
}

/// The options a daemon runs with, so that a restart can give them again. Durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonOptions {
    /// The address it was told to bind (the port may be 0).
    pub bind: String,
    /// Idle time-out; absent is off.
    pub idle_timeout_ms: Option<u64>,
    /// Longest drain.
    pub drain_timeout_ms: u64,
    /// Poll interval, where one was set.
    pub lock_poll_interval_ms: Option<u64>,
    /// Whether file events are used.
    pub lock_events: bool,
    /// Cap of the log in bytes.
    pub log_max_size: u64,
}

/// `POST /v1/daemon/stop`; an empty body means all defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Only if nothing is in flight: else 409.
    #[serde(default)]
    pub if_idle: bool,
}
