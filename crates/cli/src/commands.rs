//! One module a command.

mod doctor;
pub(crate) mod logs;
mod man;
mod meta;
mod ps;
mod restart;
mod run;
mod start;
mod status;
mod stop;
mod unit;

use aileron_discovery::Tool;

use crate::args::{Args, Command, Daemon};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// Runs the command that was typed.
pub(crate) fn run(tool: &Tool, args: Args, output: Output) -> Result<ExitStatus, Failure> {
    // Before anything is resolved: neither touches the daemon, and both work without HOME.
    match &args.command {
        Command::Completions { shell } => return Ok(meta::completions(*shell, output)),
        Command::Man { command } => return man::man(command, output),
        // What works without a state directory, or is there to say what is wrong with it.
        Command::Daemon(Daemon::Ps(ps)) => return ps::ps(tool, &args.global, ps, output),
        Command::Daemon(Daemon::Doctor(doctor)) => {
            return Ok(doctor::doctor(tool, &args.global, doctor, output));
        }
        _ => {}
    }
    let settings = Settings::resolve(tool, &args.global)?;
    match args.command {
        Command::Daemon(Daemon::Run(args)) => run::run(&settings, &args, output),
        Command::Daemon(Daemon::Serve(args)) => run::serve_launched(&settings, &args),
        Command::Daemon(Daemon::Start(options)) => start::start(&settings, &options, output),
        Command::Daemon(Daemon::Stop(args)) | Command::Stop(args) => stop::stop(&settings, &args, output),
        Command::Daemon(Daemon::Restart(args)) => restart::restart(&settings, &args, output),
        Command::Daemon(Daemon::Status) => status::status(&settings, output),
        Command::Daemon(Daemon::Logs(args)) => logs::logs(&settings, &args, output),
        Command::Daemon(Daemon::Unit(args)) => unit::unit(&settings, &args, output),
        Command::Url => start::url(&settings, output),
        Command::Daemon(Daemon::Ps(_) | Daemon::Doctor(_))
        | Command::Completions { .. }
        | Command::Man { .. } => Ok(ExitStatus::Done),
    }
}
