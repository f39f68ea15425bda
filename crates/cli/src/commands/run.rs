//! `daemon run` and the hidden `daemon serve`: being the daemon.

use aileron_discovery::AcquireError;
use aileron_discovery::protocol::launch::{LaunchMessage, LaunchPipe};
use std::convert::Infallible;

use aileron_server::{Config, Ended, ServeError, ServiceManager, Terminal, serve};
use aileron_spawn::Finding;
use serde_json::json;

use super::start::note_tightened;
use crate::args::{Run, Serve};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{self, Settings};

/// In the foreground: neither obeys nor clears a hold.
pub(crate) fn run(settings: &Settings, args: &Run, output: Output) -> Result<ExitStatus, Failure> {
    let mut config = settings::config(&settings.tool, &args.options)?;
    // Only here: a daemon that a client launches is nobody's service.
    config.service_manager = ServiceManager::Told;
    if args.check {
        return check(settings, &config, output);
    }
    note_tightened(settings, settings.state_dir.create()?, output);
    let say_ready = |message: LaunchMessage| {
        if let LaunchMessage::Ready { record } = message {
            output.detail(&format!("listening on {}", record.url));
        }
    };
    match serve(&settings.state_dir, &config, output.terminal(), async |_| Ok(None::<Infallible>), say_ready)
    {
        Ok(ended) => Ok(status_of(ended)),
        Err(ServeError::Lock(AcquireError::Held { .. })) if args.already_running_ok => {
            output.note("a daemon runs already");
            Ok(ExitStatus::Done)
        }
        Err(ServeError::Lock(AcquireError::Held { .. })) => Err(already_running(settings)),
        Err(error) => Err(error.into()),
    }
}

/// Launched by a client, which hears on the pipe how it went.
pub(crate) fn serve_launched(settings: &Settings, args: &Serve) -> Result<ExitStatus, Failure> {
    let mut pipe = LaunchPipe::adopt(args.launch_fd).map_err(|error| {
        Failure::usage(format!("descriptor {} is no launch pipe: {error}", args.launch_fd))
    })?;
    let config = settings::config(&settings.tool, &args.options)?;
    let report = |message| pipe.send(&message);
    match serve(&settings.state_dir, &config, Terminal::Detached, async |_| Ok(None::<Infallible>), report) {
        Ok(ended) => Ok(status_of(ended)),
        // The client was told, and is the one who says it; here it would only be said to the log once more.
        Err(error) => Ok(Failure::from(error).status),
    }
}

fn status_of(ended: Ended) -> ExitStatus {
    if ended.reason.exit_status() == 0 { ExitStatus::Done } else { ExitStatus::Failed }
}

/// What a start would need, without being one.
fn check(settings: &Settings, config: &Config, output: Output) -> Result<ExitStatus, Failure> {
    aileron_server::check(&settings.state_dir, config)?;
    output.result(&json!({ "schema": 1, "ok": true }), "ok");
    Ok(ExitStatus::Done)
}

fn already_running(settings: &Settings) -> Failure {
    let deadline = aileron_discovery::Deadline::after(std::time::Duration::from_secs(2));
    let dir = &settings.state_dir;
    let failure = |message: String| {
        Failure::new("already_running", ExitStatus::AlreadyRunning, message)
            .at(dir.root())
            .step("acquire the lock")
    };
    match aileron_spawn::find(dir, deadline) {
        Ok(Finding::Found(found)) => {
            let running = format!("a daemon is already running at {} (pid {})", found.url(), found.pid());
            failure(running).hint("`aileron daemon status` says more; `aileron daemon stop` ends it")
        }
        // Perhaps it is no daemon at all.
        _ => failure("another process holds the lock".to_owned()).in_view_of(dir),
    }
}
