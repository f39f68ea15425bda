//! The log: JSON lines in a file with a size cap and one predecessor, and human text on a terminal.
//!
//! Only an owner creates or rotates the file (P4); to the descriptor it has, a displaced daemon may append. The keeper
//! rotates, since it holds the lock; the writer only notices that it is time.

mod terminal;

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{OwnerLock, PublishError, StateFile, Tool};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::terminal::TerminalWriter;
use crate::shared::{Inbox, Message};
use crate::sys;

/// The present time (RFC 3339, UTC, milliseconds).
pub(crate) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// Whether log lines also go to standard error, for a daemon in the foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// To the file alone, and standard output and error of the process with it: a launched daemon.
    Detached,
    /// Also to standard error, without colour.
    Plain,
    /// Also to standard error, in colour.
    Colour,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot open the log")]
    Open(#[source] PublishError),
    /// Standard output and error cannot be moved to it.
    #[error("cannot move standard output to the log")]
    Redirect(#[source] io::Error),
    /// The level is not one.
    #[error("`{variable}={value}` is no log level; use error, warn, info, debug or trace")]
    Level {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
    },
}

/// The log file of a running daemon.
#[derive(Clone, Debug)]
pub struct LogFile(Arc<Open>);

#[derive(Debug)]
struct Open {
    /// `None`: nothing at the path can be appended to; the daemon serves all the same.
    file: Mutex<Option<File>>,
    written: AtomicU64,
    max_size: u64,
    detached: bool,
    terminal: Option<TerminalWriter>,
    inbox: OnceLock<Arc<Inbox>>,
}

/// Opens the log of the directory of `lock` and sends everything traced in this process to it. Once per process.
///
/// The level is `PREFIX_LOG` (or `PREFIX_LOG_LEVEL`): a level, or `target=level` pairs; `info` by default.
///
/// # Errors
///
/// When the file cannot be opened or the level is not one.
pub fn init(lock: &OwnerLock, max_size: u64, terminal: Terminal) -> Result<LogFile, LogError> {
    let levels = levels(lock.state_dir().tool())?;
    let file = match lock.open_log() {
        Ok(file) => Some(file),
        Err(error @ PublishError::NotOwner { .. }) => return Err(LogError::Open(error)),
        // A log that cannot be had is no reason not to serve; standard error, the launch's own lines, says why.
        Err(error) => {
            let _unwritable = writeln!(io::stderr(), "cannot open the log: {}", in_one_line(&error));
            None
        }
    };
    let detached = terminal == Terminal::Detached;
    let on_terminal = if detached { None } else { TerminalWriter::start().ok() };
    if let (Some(file), true) = (&file, detached) {
        sys::redirect_output(file).map_err(LogError::Redirect)?;
    }
    let written = AtomicU64::new(file.as_ref().map_or(0, size_of));
    let log = LogFile(Arc::new(Open {
        file: Mutex::new(file),
        written,
        max_size,
        detached,
        terminal: on_terminal.clone(),
        inbox: OnceLock::new(),
    }));
    let writer = log.clone();
    let json = fmt::layer().json().with_writer(move || writer.clone());
    let text = on_terminal.map(|writer| {
        let colour = terminal == Terminal::Colour;
        fmt::layer().with_writer(move || writer.clone()).with_ansi(colour).with_target(false)
    });
    // The levels are those of the file and of the terminal: one filter for all, not one for each.
    if tracing_subscriber::registry().with(levels).with(json).with(text).try_init().is_err() {
        tracing::debug!("the embedder's own subscriber stays in place");
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!(event = "panic", "{panic}")));
    Ok(log)
}

fn size_of(file: &File) -> u64 {
    file.metadata().map_or(0, |found| found.len())
}

/// Checks the level that a daemon of `tool` would log at, so that whoever launches one can say what is wrong with it.
///
/// # Errors
///
/// [`LogError::Level`].
pub fn check_level(tool: &Tool) -> Result<(), LogError> {
    levels(tool).map(drop)
}

/// A level for everything, and `target=level` for some. `Targets` would take a mistyped level for a target's name, and
/// switch everything else off.
pub(crate) fn parse_levels(text: &str) -> Option<Targets> {
    let mut levels = Targets::new().with_default(tracing::Level::INFO);
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        levels = match item.split_once('=') {
            Some((target, level)) => levels.with_target(target, level.parse::<LevelFilter>().ok()?),
            None => levels.with_default(item.parse::<LevelFilter>().ok()?),
        };
    }
    Some(levels)
}

fn levels(tool: &Tool) -> Result<Targets, LogError> {
    for suffix in ["LOG", "LOG_LEVEL"] {
        if let Some(value) = tool.env(suffix) {
            let value = value.to_string_lossy().into_owned();
            return parse_levels(&value)
                .ok_or_else(|| LogError::Level { variable: tool.env_var(suffix), value });
        }
    }
    Ok(Targets::new().with_default(tracing::Level::INFO))
}

impl LogFile {
    /// Lets the terminal have the last lines.
    pub(crate) fn finish(&self) {
        if let Some(terminal) = &self.0.terminal {
            terminal.finish();
        }
    }

    pub(crate) fn report_to(&self, inbox: Arc<Inbox>) {
        if self.0.inbox.set(inbox).is_err() {
            tracing::debug!("the log already reports to a keeper");
        }
    }

    /// Renames the file to its predecessor and begins a new one, if this is the owner and the cap is still reached.
    pub(crate) fn rotate(&self, lock: &OwnerLock) {
        if self.0.written.load(Ordering::Acquire) >= self.0.max_size {
            self.replace(lock.rotate_log());
        }
    }

    /// Whether the present file no longer stands at its path.
    pub(crate) fn is_gone(&self, lock: &OwnerLock) -> bool {
        let path = lock.state_dir().path(StateFile::Log);
        let is_gone = |file: &File| sys::is_same_file(file, &path) == Some(false);
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(is_gone)
    }

    /// Begins a new file where the present one no longer stands at its path.
    pub(crate) fn reopen_if_gone(&self, lock: &OwnerLock) {
        if self.is_gone(lock) {
            self.replace(lock.reopen_log());
        }
    }

    fn replace(&self, fresh: Result<File, PublishError>) {
        // Where it cannot be had the old file goes on; the next line that finds it full asks again.
        let Ok(fresh) = fresh else { return };
        if self.0.detached && sys::redirect_output(&fresh).is_err() { /* 1 and 2 stay on the old file */ }
        self.0.written.store(size_of(&fresh), Ordering::Release);
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
    }
}

impl Write for LogFile {
    /// One line, one `write(2)`. A full disk or a lost file is no error to whoever logs.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        let before = self.0.written.fetch_add(length, Ordering::AcqRel);
        // Nobody can rotate for us any more, or not yet: bounded all the same.
        if before < self.0.max_size.saturating_mul(2) {
            let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(file) = file.as_mut()
                && file.write_all(line).is_err()
            {}
        }
        let reached = before < self.0.max_size && before + length >= self.0.max_size;
        if let Some(inbox) = self.0.inbox.get()
            && (reached || before >= self.0.max_size)
        {
            inbox.send(Message::LogIsFull);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
