//! Why a daemon ends, and the exit status that belongs to it.

use std::fmt;

/// Why a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownReason {
    /// `POST /v1/daemon/stop`.
    StopRequest,
    /// `SIGTERM`.
    Sigterm,
    /// `SIGINT`.
    Sigint,
    /// `SIGHUP`, unless it was ignored at the start.
    Sighup,
    /// Nobody used it for the idle time-out.
    Idle,
    /// It is no longer the daemon of its directory.
    Displaced,
    /// It cannot serve any more.
    ServeError,
    /// A vital task ended.
    VitalTask,
}

impl ShutdownReason {
    /// Its name in the log, the exit record and the event stream.
    pub fn name(self) -> &'static str {
        match self {
            Self::StopRequest => "stop_request",
            Self::Sigterm => "sigterm",
            Self::Sigint => "sigint",
            Self::Sighup => "sighup",
            Self::Idle => "idle",
            Self::Displaced => "displaced",
            Self::ServeError => "serve_error",
            Self::VitalTask => "vital_task",
        }
    }

    /// The process's exit status.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::StopRequest
            | Self::Sigterm
            | Self::Sigint
            | Self::Sighup
            | Self::Idle
            | Self::Displaced => 0,
            Self::ServeError | Self::VitalTask => 1,
        }
    }
}

impl fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
