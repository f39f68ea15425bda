//! A whole daemon process: lock, log, service, and what its launcher is told.

use std::future::Future;

use aileron_discovery::protocol::launch::{Failure, LaunchMessage, in_one_line};
use aileron_discovery::{
    AcquireError, OwnerLock, PublishError, Shortage, StateDir, StateFile, failpoint, process,
};

use crate::config::Config;
use crate::context::Context;
use crate::log::{self, LogError, Terminal};
use crate::notify::Notifier;
use crate::reason::ShutdownReason;
use crate::routes::Routes;
use crate::run::{AppError, Ended, RunError, run_telling};
use crate::sys;

/// Why a daemon process did not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The lock was not acquired; that another daemon holds it is among the reasons.
    #[error(transparent)]
    Lock(#[from] AcquireError),
    /// There is no log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It could not serve.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl ServeError {
    /// Whether it only says that the directory or the lock went away during the start: whoever launched this begins again.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Lock(error) => error.is_lost(),
            Self::Log(LogError::Open(error)) | Self::Run(RunError::Publish(error)) => {
                matches!(error, PublishError::NotOwner { .. })
            }
            Self::Log(_) | Self::Run(_) => false,
        }
    }
}

/// Acquires the lock of a directory that exists, opens the log, and serves as [`run`](crate::run) does. `report` hears, once, how the
/// start went: what a launched daemon hands to the pipe it inherited.
///
/// # Errors
///
/// Why it did not serve; `report` has been told the same.
pub fn serve<A, F, R>(
    state_dir: &StateDir,
    config: &Config,
    terminal: Terminal,
    app: A,
    mut report: impl FnMut(LaunchMessage),
) -> Result<Ended, ServeError>
where
    A: FnOnce(Context) -> F,
    F: Future<Output = Result<Option<R>, AppError>>,
    R: Routes,
{
    let served = lock_and_run(state_dir, config, terminal, app, &mut report);
    match &served {
        Ok(Ended { was_ready: true, .. }) => {}
        Ok(Ended { reason: ShutdownReason::Displaced, .. }) => report(LaunchMessage::Lost),
        Ok(Ended { reason, .. }) => report(LaunchMessage::Failed(Failure {
            step: "start".to_owned(),
            message: format!("ended before it was ready: {reason}"),
            path: None,
            hint: None,
        })),
        Err(ServeError::Lock(AcquireError::Held { .. })) => report(LaunchMessage::Held),
        Err(error) if error.is_lost() => report(LaunchMessage::Lost),
        Err(error) => {
            report(LaunchMessage::Failed(failure(state_dir, error)));
        }
    }
    served
}

fn lock_and_run<A, F, R>(
    state_dir: &StateDir,
    config: &Config,
    terminal: Terminal,
    app: A,
    report: &mut impl FnMut(LaunchMessage),
) -> Result<Ended, ServeError>
where
    A: FnOnce(Context) -> F,
    F: Future<Output = Result<Option<R>, AppError>>,
    R: Routes,
{
    config.check().map_err(RunError::from)?;
    failpoint!("serve_begun");
    // Before anything is written. Without a handler nothing is worse than it was.
    if sys::outlive_full_files().is_err() { /* a full file ends the daemon, as it would any program */ }
    // Before the log, which has a thread for the terminal.
    let notifier = Notifier::of(config);
    let lock = match terminal {
        Terminal::Detached => OwnerLock::acquire_launched(state_dir)?,
        _ => OwnerLock::acquire(state_dir)?,
    };
    let limits = sys::limits();
    let log = log::init(&lock, limits.log_size(config.log_max_size), terminal)?;
    failpoint!("log_opened");
    let low = limits.low(config.log_max_size).join("; ");
    if !low.is_empty() {
        tracing::warn!(event = "limits", low, "low limits, which may end or hinder the daemon");
    }
    let ready = |record: &_| report(LaunchMessage::Ready { record: Box::new(Clone::clone(record)) });
    let ended = run_telling(lock, config, Some(log.clone()), app, ready, notifier).map_err(ServeError::from);
    // Before the terminal has its last lines: what a command prints of the failure comes after them.
    if let Err(error) = &ended
        && !error.is_lost()
    {
        tracing::error!(event = "failed", error = in_one_line(error), "cannot start");
    }
    log.finish();
    ended
}

fn failure(state_dir: &StateDir, error: &ServeError) -> Failure {
    let root = state_dir.root().to_owned();
    if let ServeError::Log(LogError::Open(busy @ PublishError::DirectoryBusy { .. }))
    | ServeError::Run(RunError::Publish(busy @ PublishError::DirectoryBusy { .. })) = error
    {
        return kept_locked(state_dir, busy);
    }
    // What ran out comes before any other advice.
    let short = Shortage::behind(error).map(Shortage::advice);
    let barrier = match error {
        ServeError::Lock(error) => error.barrier().map(|barrier| barrier.to_string()),
        _ => None,
    };
    let (step, path, hint) = match error {
        ServeError::Lock(error) => {
            ("acquire the lock", state_dir.path(StateFile::Lock), error.advice().map(str::to_owned))
        }
        ServeError::Log(_) => ("open the log", state_dir.path(StateFile::Log), None),
        ServeError::Run(RunError::Bind { address, source }) => {
            ("listen", root, Some(RunError::bind_advice(*address, source)))
        }
        ServeError::Run(RunError::Publish(error)) => {
            let hint = "see what stands there (`ls -ld`, `lsattr`): it must be yours to write and to remove";
            ("publish the record", error.path().to_owned(), Some(hint.to_owned()))
        }
        ServeError::Run(RunError::App(_)) => ("initialise the service", root, None),
        ServeError::Run(_) => ("start", root, None),
    };
    Failure {
        step: step.to_owned(),
        message: in_one_line(error),
        path: Some(path.to_string_lossy().into_owned()),
        hint: short.map(str::to_owned).or(barrier).or(hint),
    }
}

/// Nobody writes beside somebody who keeps the directory locked, the owner of the lock neither: a predecessor that was stopped
/// between its last look and its `unlink` would take the record of whoever has published meanwhile. So the start fails, and says
/// who is in the way.
fn kept_locked(state_dir: &StateDir, error: &PublishError) -> Failure {
    let writer = process::find_writer(state_dir).map(|process| process.pid);
    let hint = writer.map_or_else(
        || "see who has the directory open (`fuser`), and try again".to_owned(),
        |pid| {
            format!(
                "process {pid} keeps it locked: if it is stopped, `kill -CONT {pid}` lets it go on; or end it"
            )
        },
    );
    Failure {
        step: "write in the state directory".to_owned(),
        message: in_one_line(error),
        path: Some(state_dir.root().to_string_lossy().into_owned()),
        hint: Some(hint),
    }
}
