//! `daemon restart`: having a new one, if a new one could start.

use aileron_discovery::{Deadline, InstanceId};
use aileron_server::Config;
use aileron_spawn::{Ensured, Force, Predecessor, RestartOptions, Restarted, Successor};
use serde_json::{Value, json};

use super::start::{arguments, launch, note_tightened, refuse_explicit};
use super::stop::{document_orphans, how_name, note_orphans};
use crate::args::Restart;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{Given, Settings};

pub(crate) fn restart(settings: &Settings, args: &Restart, output: Output) -> Result<ExitStatus, Failure> {
    refuse_explicit(settings, "restart")?;
    let given = Given::resolve(&settings.tool, &args.options)?;
    let force = if args.force { Force::AtDeadline } else { Force::Never };
    let (whole, stop_within) = settings.restart_timeout();
    let successor = |old: Option<&Predecessor>| {
        let base = old.map_or_else(|| Ok(Config::new()), options_of).unwrap_or_else(|why| {
            output.note(&format!(
                "what is not given is at its default: the old daemon's options are not known ({why})"
            ));
            Config::new()
        });
        let config = given.over(&base);
        let check = arguments(settings, &["daemon", "run", "--check"], &config);
        Successor { launch: launch(settings, &config), check }
    };
    let options = RestartOptions { force, stop_within };
    let restarted = aileron_spawn::restart(&settings.state_dir, successor, options, Deadline::after(whole))
        .map_err(|error| Failure::from(error).in_view_of(&settings.state_dir))?;
    tell(settings, &restarted, output);
    Ok(ExitStatus::Done)
}

fn options_of(old: &Predecessor) -> Result<Config, String> {
    let options = old.options.as_ref().map_err(Clone::clone)?;
    Config::from_options(options).map_err(|error| format!("`{}`: {error}", options.bind))
}

fn tell(settings: &Settings, restarted: &Restarted, output: Output) {
    let Restarted { ended, ensured, orphans } = restarted;
    let (daemon, outcome) = match ensured {
        Ensured::Started { daemon, tightened_from, .. } => {
            note_tightened(settings, *tightened_from, output);
            (daemon, if ended.is_some() { "restarted" } else { "started" })
        }
        Ensured::Found(daemon) => {
            output.note("the daemon that runs now was started by somebody else, with options of its own");
            (daemon, "found")
        }
        _ => return,
    };
    if let Some((old, how)) = ended {
        output.note(&format!("stopped pid {} ({})", old.pid.unwrap_or_default(), how_name(*how)));
    }
    note_orphans(orphans, output);
    let instance: Option<&InstanceId> = daemon.instance();
    let document = json!({
        "schema": 1,
        "outcome": outcome,
        "url": daemon.url(),
        "pid": daemon.pid(),
        "instance": instance,
        "old": ended.as_ref().map_or(Value::Null, |(old, how)| json!({
            "pid": old.pid,
            "instance": old.instance,
            "version": old.version,
            "how": how_name(*how),
            "options_known": old.options.is_ok(),
        })),
        "orphans": document_orphans(orphans),
    });
    output.result(&document, &daemon.url());
}
