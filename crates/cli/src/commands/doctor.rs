//! `daemon doctor`: what is wrong, by name, and what to do about it.
//!
//! It must never make anything worse. It starts nothing and, without `--fix`, writes nothing. Everything that could hang is
//! asked at once, each in a thread of its own (`facts`); the checks themselves only judge what was heard, and "no answer" is an
//! answer. What `--fix` does is listed before it is done (`fix`), and the report is of afterwards.

mod check;
mod directory;
mod facts;
mod fix;
mod lock;
mod machine;
mod record;
mod report;

use aileron_discovery::Tool;

use crate::args::{Doctor, Global};
use crate::exit::ExitStatus;
use crate::output::Output;

use check::{Check, Outcome};
use facts::Facts;

pub(crate) fn doctor(tool: &Tool, global: &Global, args: &Doctor, output: Output) -> ExitStatus {
    let mut facts = Facts::gather(tool, global);
    let plan = fix::plan(&facts);
    let done = if args.fix && !plan.is_empty() {
        output.note(&report::plan_text(&plan));
        let done = fix::apply(&facts, &plan);
        facts = Facts::gather(tool, global);
        done
    } else {
        Vec::new()
    };
    let checks = checks(&facts);
    let possible: &[fix::Fix] = if args.fix { &[] } else { &plan };
    output.result(
        &report::document(&facts, &checks, possible, &done),
        &report::text(tool, &checks, possible, &done),
    );
    let failed = checks.iter().any(|check| check.outcome == Outcome::Failure);
    if failed { ExitStatus::Failed } else { ExitStatus::Done }
}

type Judge = fn(&Facts) -> check::Verdict;

/// All of them, in the order in which one would go through them.
fn checks(facts: &Facts) -> Vec<Check> {
    let all: [(&'static str, Judge); 24] = [
        ("state_dir", directory::state_dir),
        ("modes", directory::modes),
        ("file_system", directory::file_system),
        ("space", directory::space),
        ("temporary_files", directory::temporary_files),
        ("log", directory::log),
        ("lock", lock::lock),
        ("lock_enforcement", lock::enforcement),
        ("start_gate", lock::gate),
        ("hold", lock::hold),
        ("orphans", lock::orphans),
        ("record", record::record),
        ("handshake", record::handshake),
        ("process", record::process),
        ("place", record::place),
        ("clock", record::clock),
        ("version", record::version),
        ("program", record::program),
        ("watcher", record::watcher),
        ("inotify", machine::inotify),
        ("proc", machine::proc),
        ("control_group", machine::control_group),
        ("environment", machine::environment),
        ("proxy", machine::proxy),
    ];
    all.into_iter().map(|(name, judge)| Check::of(name, judge(facts))).collect()
}
