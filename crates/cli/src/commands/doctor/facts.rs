//! Everything that the checks judge, asked at once and with one deadline.

use std::io;
use std::time::Duration;

use aileron_discovery::process::{DaemonProcess, Locker, Standing, daemons, find_locker};
use aileron_discovery::protocol::control::DaemonView;
use aileron_discovery::survey::{self, DirectoryFacts, Enforcement, Entry, FileSystem, InotifyUse};
use aileron_discovery::{
    Advertisement, Deadline, ExitRecord, Hold, HoldError, LockProbe, ProbeError, Reading, StateDir,
    StateDirError, StateFile, Tool, probe_lock,
};
use aileron_spawn::{FindError, Finding, control, find_here};

use crate::args::Global;
use crate::pending::Pending;

/// How long all of it may take, unless `--timeout` says less.
const ALL: Duration = Duration::from_secs(5);

/// How long the daemon may take to answer: a stopped one never does.
const DAEMON: Duration = Duration::from_secs(3);

/// An answer, or why there is none: no time, or nothing to ask of.
pub(super) type Heard<T> = Result<T, String>;

pub(super) struct Facts {
    pub(super) tool: Tool,
    /// What is wrong with the variables, in words.
    pub(super) misspelt: Option<String>,
    pub(super) dir: Result<StateDir, StateDirError>,
    pub(super) check: Heard<Result<(), StateDirError>>,
    pub(super) directory: Heard<io::Result<DirectoryFacts>>,
    /// The deepest directory on the way that exists, and whether names can be made in it.
    pub(super) writable: Heard<(std::path::PathBuf, bool)>,
    pub(super) entries: Heard<io::Result<Vec<Entry>>>,
    pub(super) log_writable: Heard<bool>,
    pub(super) file_system: Heard<io::Result<FileSystem>>,
    pub(super) probe: Heard<Result<LockProbe, ProbeError>>,
    /// Whoever holds the lock, a daemon or not.
    pub(super) locker: Heard<Option<Locker>>,
    /// Whoever holds the start gate.
    pub(super) gate_locker: Heard<Option<Locker>>,
    pub(super) enforcement: Heard<Result<Enforcement, ProbeError>>,
    pub(super) hold: Heard<Result<bool, HoldError>>,
    pub(super) reading: Heard<Result<Reading, StateDirError>>,
    pub(super) last_exit: Heard<Option<ExitRecord>>,
    /// The daemon, and what it says of itself.
    pub(super) daemon: Heard<Result<(Finding, Option<DaemonView>), FindError>>,
    pub(super) daemons: Heard<io::Result<Vec<DaemonProcess>>>,
    pub(super) inotify: Heard<io::Result<InotifyUse>>,
    pub(super) process_table: bool,
}

/// Asks about the directory, if there is a path to ask about.
struct About(Result<StateDir, String>);

impl About {
    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&StateDir) -> T + Send + 'static) -> Asked<T> {
        let dir = self.0.clone();
        Asked(dir.map(|dir| Pending::ask(move || question(&dir))))
    }
}

struct Asked<T>(Result<Pending<T>, String>);

impl<T: Send + 'static> Asked<T> {
    fn by(self, deadline: &Deadline) -> Heard<T> {
        self.0?.by(deadline)
    }
}

impl Facts {
    pub(super) fn gather(tool: &Tool, global: &Global) -> Self {
        let (timeout, misspelt) = super::machine::timeout_and_variables(tool, global);
        let deadline = Deadline::after(timeout.unwrap_or(ALL).min(ALL));
        // Resolving may hang as well as anything below it.
        let (asked, argument) = (tool.clone(), global.state_dir.clone());
        let dir = Pending::ask(move || StateDir::resolve(&asked, argument.as_deref())).by(&deadline);
        let dir = dir.unwrap_or_else(|why| Err(silent(&why)));
        let about = About(dir.as_ref().map(StateDir::clone).map_err(|_| NOWHERE.to_owned()));

        let check = about.ask(StateDir::check);
        let directory = about.ask(survey::directory);
        let writable = about.ask(|dir| {
            let nearest = survey::nearest_existing(dir);
            let may_write = survey::may_write_in(&nearest);
            (nearest, may_write)
        });
        let entries = about.ask(survey::entries);
        let log_writable = about.ask(survey::may_write_log);
        let file_system = about.ask(|dir| survey::file_system(&survey::nearest_existing(dir)));
        let hold = about.ask(Hold::is_set);
        let reading = about.ask(Advertisement::read);
        let last_exit = about.ask(|dir| ExitRecord::read(dir).ok().flatten());
        // Sooner than all of it, or its own account of what it saw comes too late.
        let share = deadline.remaining().unwrap_or_default() * 3 / 4;
        let daemon = about.ask(move |dir| look(dir, deadline.within(DAEMON.min(share))));
        let probe = about.ask(probe_lock);
        let locker = about.ask(|dir| find_locker(dir, StateFile::Lock));
        let gate_locker = about.ask(|dir| find_locker(dir, StateFile::Gate));
        let enforcement = about.ask(survey::lock_enforcement);
        let listed = tool.clone();
        let daemons = Pending::ask(move || daemons(&listed));
        let inotify = Pending::ask(survey::inotify_use);
        Self {
            tool: tool.clone(),
            misspelt,
            dir,
            check: check.by(&deadline),
            directory: directory.by(&deadline),
            writable: writable.by(&deadline),
            entries: entries.by(&deadline),
            log_writable: log_writable.by(&deadline),
            file_system: file_system.by(&deadline),
            probe: probe.by(&deadline),
            locker: locker.by(&deadline),
            gate_locker: gate_locker.by(&deadline),
            enforcement: enforcement.by(&deadline),
            hold: hold.by(&deadline),
            reading: reading.by(&deadline),
            last_exit: last_exit.by(&deadline),
            daemon: daemon.by(&deadline),
            daemons: daemons.by(&deadline),
            inotify: inotify.by(&deadline),
            process_table: survey::has_process_table(),
        }
    }

    /// Whether somebody holds the lock. `None`: it cannot be told.
    pub(super) fn held(&self) -> Option<bool> {
        match &self.probe {
            Ok(Ok(probe)) => Some(probe.is_held()),
            _ => None,
        }
    }

    /// The record, believed or not.
    pub(super) fn record(&self) -> Option<&Advertisement> {
        match &self.reading {
            Ok(Ok(Reading::Present(record))) => Some(record),
            _ => None,
        }
    }

    pub(super) fn found(&self) -> Option<&aileron_spawn::Found> {
        match &self.daemon {
            Ok(Ok((Finding::Found(found), _))) => Some(found),
            _ => None,
        }
    }

    pub(super) fn view(&self) -> Option<&DaemonView> {
        match &self.daemon {
            Ok(Ok((_, view))) => view.as_ref(),
            _ => None,
        }
    }

    pub(super) fn listed(&self) -> &[DaemonProcess] {
        match &self.daemons {
            Ok(Ok(found)) => found,
            _ => &[],
        }
    }

    /// The process that has the lock of this directory, as the process table shows it.
    pub(super) fn owner(&self) -> Option<&DaemonProcess> {
        let lock = match &self.probe {
            Ok(Ok(LockProbe::Held(lock))) => *lock,
            _ => return None,
        };
        self.listed()
            .iter()
            .find(|daemon| daemon.lock.file == lock && !matches!(daemon.standing, Standing::Orphan(_)))
    }
}

/// What is said where no path is known.
pub(super) const NOWHERE: &str = "it is not known which directory is meant";

fn look(dir: &StateDir, deadline: Deadline) -> Result<(Finding, Option<DaemonView>), FindError> {
    let finding = find_here(dir, deadline)?;
    let view = match &finding {
        Finding::Found(found) => control::view(found, deadline).ok(),
        _ => None,
    };
    Ok((finding, view))
}

fn silent(why: &str) -> StateDirError {
    StateDirError::Io {
        step: "resolve",
        path: std::path::PathBuf::from("the state directory"),
        source: io::Error::new(io::ErrorKind::TimedOut, why.to_owned()),
    }
}
