//! Getting a daemon: find it, have one launched if there is none, ask it, stop it. Blocking, without a runtime.
//!
//! # Theory of operation
//!
//! *Finding* takes no lock and writes nothing: read the record, connect, have the instance proved ([`find`]). Whoever
//! answers at a recorded address is nobody until then; the token is sent to no one else.
//!
//! *Starting* ([`ensure_running`]) is done by one client at a time, the one that holds the start gate, which looks again
//! before it launches anything and keeps the gate until the daemon has proved that it is ready. The others wait at the gate
//! and look again while they wait. A launched process reports on a pipe; its death is heard as well, so that the cause of a
//! failed start is known at once and a slow start is not mistaken for one.
//!
//! *Stopping* ([`stop`]) asks, then sends `SIGTERM`, then, if told to, `SIGKILL`: each signal through a pidfd that was
//! opened before the process behind it was proved to be this daemon. *Reaping* ([`reap`]) does the same to orphans.
//!
//! *Asking* ([`call`]) is one request to whatever daemon there is by then, and once more where that is safe. With the cargo
//! feature `client`, off by default because it needs tokio and hyper, `Client` does the same for async programs.
//!
//! *Restarting* ([`restart`]) has the new program check that it could start, then stops, then starts, all under one gate.

mod answer;
mod call;
#[cfg(feature = "client")]
mod client;
pub mod control;
mod ensure;
mod exchange;
mod fault;
mod find;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod launch;
mod look;
mod owner;
mod patience;
mod reap;
mod restart;
mod retry;
mod start;
mod stop;
mod sys;
mod target;
mod version;
mod wait;

pub use call::{Answer, Call, call};
#[cfg(feature = "client")]
pub use client::{Client, ResponseBody, ResponseError};
pub use ensure::{
    Autostart, EnsureError, EnsureOptions, Ensured, HoldRule, Misfit, StartReason, ensure_running,
    ensure_running_with,
};
pub use fault::{CallError, ClientError, Fault};
pub use find::{FindError, Finding, Found, find, find_here};
pub use launch::hear_children;
pub use launch::{ChildEnd, Launch, LaunchError, Program};
pub use reap::{ReapOutcome, Reaped, reap};
pub use restart::{Predecessor, RestartError, RestartOptions, Restarted, Successor, restart};
pub use stop::{Force, How, OnStop, StopError, StopOptions, StopOutcome, Stopped, stop};
pub use target::Resolved;
pub use version::VersionRule;
