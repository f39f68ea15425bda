//! `daemon stop`: having none.

use aileron_discovery::Deadline;
use aileron_discovery::process::Holder;
use aileron_spawn::{Force, How, OnStop, StopOptions, StopOutcome};
use serde_json::{Value, json};

use super::start::refuse_explicit;
use crate::args::Stop;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

pub(crate) fn stop(settings: &Settings, args: &Stop, output: Output) -> Result<ExitStatus, Failure> {
    refuse_explicit(settings, "stop")?;
    let options = StopOptions {
        force: if args.force { Force::AtDeadline } else { Force::Never },
        on_stop: if args.hold { OnStop::Hold } else { OnStop::LeaveStartsOn },
    };
    let deadline = Deadline::after(settings.stop_timeout());
    let stopped = aileron_spawn::stop(&settings.state_dir, options, deadline)
        .map_err(|error| Failure::from(error).in_view_of(&settings.state_dir))?;
    let (outcome, pid, how) = match stopped.outcome {
        StopOutcome::NotRunning => ("not_running", None, None),
        StopOutcome::Stopped { pid, how } => ("stopped", Some(pid), Some(how_name(how))),
    };
    let orphans = document_orphans(&stopped.orphans);
    let document = json!({ "schema": 1, "outcome": outcome, "pid": pid, "how": how, "hold": args.hold, "orphans": orphans });
    let text = match (pid, how) {
        (Some(pid), Some(how)) => format!("stopped pid {pid} ({how})"),
        _ => "not running".to_owned(),
    };
    // A script that asked to stop wants silence or an error; a person wants to be told, on standard error as well.
    if output.json {
        output.result(&document, "");
    } else {
        output.note(&text);
    }
    note_orphans(&stopped.orphans, output);
    Ok(ExitStatus::Done)
}

pub(super) fn document_orphans(orphans: &[Holder]) -> Value {
    let document =
        |orphan: &Holder| json!({ "pid": orphan.process.pid, "lock": orphan.lock.path.to_string_lossy() });
    orphans.iter().map(document).collect()
}

pub(super) fn note_orphans(orphans: &[Holder], output: Output) {
    for orphan in orphans {
        output.note(&format!(
            "an orphan of this directory still runs: pid {} (`aileron daemon ps --reap` ends it)",
            orphan.process.pid
        ));
    }
}

pub(super) fn how_name(how: How) -> &'static str {
    match how {
        How::Request => "request",
        How::Sigterm => "sigterm",
        How::Sigkill => "sigkill",
    }
}
