//! Being the daemon: from the held lock to the last line of the log.
//!
//! # Theory of operation
//!
//! Two threads. The *runtime's* thread serves HTTP and the embedder's own code, and may be held up by either. The
//! *keeper's* thread serves nobody: it receives what matters (signals, file events, stop requests, deadlines), looks
//! whether this is still the daemon, asks the [`policy`] what to do about it, and sees it done; the runtime is only told.
//! So a handler that blocks delays neither a signal nor a verdict nor the end.
//!
//! The keeper owns the lock, and with it the only right to write in the state directory. It publishes the record when the
//! service is ready, restores it when it is damaged, withdraws it at an end, and frees the lock last of all.
//!
//! Between a loss and the keeper's verdict lie some microseconds, or a poll interval where there are no file events. In that
//! time, as at all others, the [fence](Context::fence) asks on each request, and lets none be acted upon by a daemon that
//! is no longer the daemon.
//!
//! # Reading order
//!
//! [`serve`] and [`run`] put the parts together. [`policy`] is pure. `keeper` decides and enforces; `watch` wakes it.
//! `guard` admits requests, `api` answers the control routes and `routes` the embedder's, `connections` accepts and
//! drains. `notify` tells a service manager.

mod activity;
mod api;
mod check;
mod config;
mod connections;
mod context;
mod events;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod keeper;
mod limits;
mod log;
mod notify;
pub mod policy;
mod reason;
mod routes;
mod run;
mod serve;
mod shared;
mod sys;
mod watch;

pub use check::check;
pub use config::{
    Config, ConfigError, FileEvents, MAX_POLL_INTERVAL, MAX_TIMEOUT, MIN_POLL_INTERVAL, ServiceManager,
};
pub use context::{Context, Fenced};
pub use log::{LogError, LogFile, Terminal, check_level, init as init_log};
pub use reason::ShutdownReason;
pub use routes::{Plain, Routes};
pub use run::{AppError, Ended, RunError, run};
pub use serve::{ServeError, serve};
