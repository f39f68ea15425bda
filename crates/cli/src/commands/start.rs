//! `daemon start` and `url`: having a daemon.

use std::ffi::OsString;
use std::time::Duration;

use aileron_discovery::{Deadline, StateFile};
use aileron_server::Config;
use aileron_spawn::{
    Autostart, EnsureOptions, Ensured, Found, HoldRule, Launch, StartReason, VersionRule, control,
    ensure_running_with, hear_children,
};
use serde_json::json;

use crate::args::DaemonOptions;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{self, Given, Settings};

/// By name: clears a hold, and works where automatic starts are off.
pub(crate) fn start(
    settings: &Settings,
    options: &DaemonOptions,
    output: Output,
) -> Result<ExitStatus, Failure> {
    refuse_explicit(settings, "start")?;
    let given = Given::resolve(&settings.tool, options)?;
    let how = EnsureOptions {
        autostart: Autostart::Allowed,
        hold: HoldRule::Clear,
        version: VersionRule::Compatible,
    };
    ensure(settings, &given, &how, output)
}

/// For scripts: the URL, and nothing else on standard output.
pub(crate) fn url(settings: &Settings, output: Output) -> Result<ExitStatus, Failure> {
    let given = Given::resolve(&settings.tool, &DaemonOptions::default())?;
    // A value that cannot be understood is named, as every variable's is.
    settings::variable(&settings.tool, "NO_AUTOSTART", settings::switch)?;
    let autostart = Autostart::from_env(&settings.tool);
    ensure(
        settings,
        &given,
        &EnsureOptions { autostart, hold: HoldRule::Obey, version: VersionRule::Compatible },
        output,
    )
}

/// An explicit address is somebody else's daemon: it can be used, not managed.
pub(crate) fn refuse_explicit(settings: &Settings, what: &str) -> Result<(), Failure> {
    match settings.tool.env("API_URL") {
        None => Ok(()),
        Some(url) => {
            let variable = settings.tool.env_var("API_URL");
            let url = url.to_string_lossy();
            Err(Failure::new("usage", ExitStatus::Usage, format!("cannot {what}: {variable} names {url}"))
                .hint(&format!("unset {variable} to manage the daemon of the state directory")))
        }
    }
}

fn ensure(
    settings: &Settings,
    given: &Given,
    how: &EnsureOptions,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let launch = || launch(settings, &given.over(&Config::new()));
    // `url` is the warm path, for scripts: it asks no more than for the daemon.
    let given = (how.hold == HoldRule::Clear && given.is_any()).then_some(given);
    let deadline = Deadline::after(settings.start_timeout());
    hear_children();
    let ensured = ensure_running_with(&settings.state_dir, &launch, how, deadline);
    let log = || settings.state_dir.path(StateFile::Log);
    let failed = |error| Failure::from(error).with_log(log()).in_view_of(&settings.state_dir);
    match ensured.map_err(failed)? {
        Ensured::Explicit(url) => print(&url, "explicit", None, None, output),
        Ensured::Found(found) => {
            let in_force =
                given.and_then(|given| tell_whether_in_force(given, &found, settings, deadline, output));
            print_found(&found, "found", in_force, output);
        }
        Ensured::Started { daemon, reason, tightened_from } => {
            note_tightened(settings, tightened_from, output);
            match reason {
                StartReason::Stale(why) => output.detail(&format!("the record was stale: {why}")),
                StartReason::Replaced(version) => {
                    output.note(&format!("replaced the idle daemon of version {version}"));
                }
                StartReason::NotRunning => {}
            }
            output.detail(&format!("started pid {} in {} ms", daemon.pid(), deadline.elapsed().as_millis()));
            print_found(&daemon, "started", given.map(|_| true), output);
        }
        _ => {}
    }
    Ok(ExitStatus::Done)
}

pub(super) fn note_tightened(settings: &Settings, from: Option<u32>, output: Output) {
    if let Some(mode) = from {
        let path = settings.state_dir.root().display();
        output.note(&format!("tightened `{path}` from mode {mode:04o} to 0700"));
    }
}

pub(super) fn launch(settings: &Settings, config: &Config) -> Launch {
    let launch = Launch::of_this_program(arguments(settings, &["daemon", "serve"], config));
    launch.passing_on(&settings.tool, &["LOG", "LOG_LEVEL"])
}

/// The arguments with which this program does something for a daemon of this directory and configuration.
pub(super) fn arguments(settings: &Settings, command: &[&str], config: &Config) -> Vec<OsString> {
    let mut args = ["--state-dir".into(), settings.state_dir.root().as_os_str().to_owned()].to_vec();
    args.extend(command.iter().map(OsString::from));
    args.extend(settings::to_arguments(config));
    args
}

/// A daemon that has proved itself says what it runs with in a moment, or hangs; it is running all the same.
const TELLING: Duration = Duration::from_secs(2);

/// Whether the daemon that runs has what was asked for. It keeps what it was started with, and whoever asked is told.
fn tell_whether_in_force(
    given: &Given,
    found: &Found,
    settings: &Settings,
    deadline: Deadline,
    output: Output,
) -> Option<bool> {
    let running = control::view(found, deadline.within(TELLING))
        .map_err(|error| error.to_string())
        .and_then(|view| Config::from_options(&view.options).map_err(|error| error.to_string()));
    match running {
        Ok(running) => {
            let restart = given.restart_from(&running, &settings.state_dir);
            if let Some(restart) = &restart {
                output.note(&format!(
                    "the daemon that runs keeps its own options; `{restart}` replaces it by one with these"
                ));
            }
            Some(restart.is_none())
        }
        Err(why) => {
            output.note(&format!(
                "the daemon that runs keeps its own options, whatever they are ({why}); `aileron daemon restart` with these \
                 replaces it"
            ));
            None
        }
    }
}

fn print_found(found: &Found, outcome: &str, in_force: Option<bool>, output: Output) {
    print(&found.url(), outcome, Some(found), in_force, output);
}

fn print(url: &str, outcome: &str, found: Option<&Found>, in_force: Option<bool>, output: Output) {
    let document = || {
        json!({
            "schema": 1,
            "url": url,
            "outcome": outcome,
            "pid": found.map(Found::pid),
            "instance": found.and_then(Found::instance),
            "options_in_force": in_force,
        })
    };
    output.either(document, || url.to_owned());
}
