//! What the helper daemons have in common: an embedder of `aileron-server`, told everything by arguments.
//!
//! It says `daemon run` or `daemon serve` among its arguments, as the product does, so that the product's commands know it
//! for a daemon and can find, stop and list it.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aileron_discovery::StateDir;
use aileron_discovery::protocol::launch::LaunchPipe;
use aileron_server::{AppError, Config, Context, FileEvents, Routes, ServiceManager, Terminal, serve};

use crate::logger::PanickyLogger;

/// An embedder as its arguments describe it.
#[derive(Debug)]
pub struct Embedder {
    state_dir: StateDir,
    config: Config,
    launch: Option<LaunchPipe>,
    /// A file to which a byte is appended for each launch, or for each counted request.
    pub count: Option<PathBuf>,
    /// How long it does nothing before it tries the lock.
    before_lock: Duration,
    /// How long its initialisation takes.
    pub init: Duration,
    /// How its initialisation fails.
    pub fault: Option<String>,
    /// The events in whose lines its own logger panics.
    panic_on: Option<String>,
}

impl Embedder {
    /// Parses the arguments; one that is not known is a panic, for a test that misspells one would test nothing.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Self {
        let mut args = args.into_iter();
        let mut config = Config::new();
        let (mut launch, mut count, mut fault, mut panic_on) = (None, None, None, None);
        let (mut before_lock, mut init) = (Duration::ZERO, Duration::ZERO);
        let mut state_dir = None;
        let mut tool = aileron_cli::tool();
        while let Some(name) = args.next() {
            if matches!(name.as_str(), "daemon" | "run" | "serve") {
                continue;
            }
            if name == "--no-lock-events" {
                config.file_events = FileEvents::Off;
                continue;
            }
            if name == "--told" {
                config.service_manager = ServiceManager::Told;
                continue;
            }
            let value = args.next().unwrap_or_else(|| panic!("`{name}` wants a value"));
            let millis = || Duration::from_millis(value.parse().expect("milliseconds"));
            match name.as_str() {
                "--as-version" => tool = aileron_discovery::Tool::new(aileron_cli::tool().name(), &value),
                "--state-dir" => state_dir = Some(PathBuf::from(&value)),
                "--launch-fd" => {
                    launch =
                        Some(LaunchPipe::adopt(value.parse().expect("a number")).expect("a launch pipe"));
                }
                "--count" => count = Some(PathBuf::from(&value)),
                "--fault" => fault = Some(value.clone()),
                "--panic-on" => panic_on = Some(value.clone()),
                "--before-lock" => before_lock = millis(),
                "--init" => init = millis(),
                "--idle" => config.idle_timeout = Some(millis()),
                "--drain" => config.drain_timeout = millis(),
                "--poll" => config.lock_poll_interval = Some(millis()),
                "--log-max" => config.log_max_size = value.parse().expect("bytes"),
                _ => panic!("`{name}` is not known"),
            }
        }
        let given = state_dir.expect("--state-dir");
        let state_dir = StateDir::resolve(&tool, Some(&given)).expect("a state directory");
        Self { state_dir, config, launch, count, before_lock, init, fault, panic_on }
    }

    /// Is the daemon, until it is not.
    pub fn serve<A, F, R>(mut self, app: A) -> ExitCode
    where
        A: FnOnce(Context) -> F,
        F: Future<Output = Result<Option<R>, AppError>>,
        R: Routes,
    {
        if let Some(events) = &self.panic_on {
            PanickyLogger::install(events);
        }
        std::thread::sleep(self.before_lock);
        let launched = self.launch.is_some();
        if !launched && self.state_dir.create().is_err() {
            return ExitCode::from(101);
        }
        let terminal = if launched { Terminal::Detached } else { Terminal::Plain };
        let report = |message| {
            if let Some(pipe) = &mut self.launch {
                pipe.send(&message);
            }
        };
        match serve(&self.state_dir, &self.config, terminal, app, report) {
            Ok(ended) => ExitCode::from(ended.reason.exit_status()),
            Err(_) => ExitCode::from(100),
        }
    }
}

/// Appends one byte to a file.
pub fn count_one(file: &Path) {
    append(file, b".");
}

/// Appends a line to a file, in one write.
pub fn count_line(file: &Path, line: &str) {
    append(file, format!("{line}\n").as_bytes());
}

fn append(file: &Path, bytes: &[u8]) {
    let opened = OpenOptions::new().append(true).create(true).open(file);
    opened.and_then(|mut file| file.write_all(bytes)).expect("the count can be written");
}
