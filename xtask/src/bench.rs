//! `cargo xtask bench`: how fast the release binary is, measured from outside beside the limit that the kernel sets.
//!
//! `detect` is about a daemon that loses its directory, `client` about a client that wants a daemon, `server` about a request,
//! `idle` about a daemon without any, `size` about the program as a file, `growth` about what becomes of all this as there is
//! more of everything; `all` runs them one after the other. Each makes a document; `page` puts it into tables, for a
//! terminal and for `docs/bench`, and `plot` draws what lies beside that.
//!
//! A missed target does not make the command fail: it is said beside the figure and counted at the end. A round that
//! gives no figure does.

pub(crate) mod all;
pub(crate) mod client;
pub(crate) mod detect;
pub(crate) mod growth;
pub(crate) mod idle;
mod instructions;
mod kept;
mod origin;
mod page;
mod plot;
pub(crate) mod server;
pub(crate) mod size;
mod standing;
mod table;
mod target;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::args::BenchOutput;
use crate::workspace::Workspace;
use page::Report;

/// Prints a run, and writes and keeps it as it was asked for.
fn finish(
    report: &Report<'_>,
    document: &impl Serialize,
    name: &str,
    output: &BenchOutput,
    workspace: &Workspace,
) -> Result<()> {
    print!("{}", page::text(report));
    if let Some(path) = &output.json {
        kept::write(path, &kept::as_json(document)?)?;
    }
    if output.keep {
        kept::keep(name, &report.origin.date, document, &workspace.root().join("docs").join("bench"))?;
    }
    ensure!(report.unmeasured == 0, "bench: {} rounds gave no figure", report.unmeasured);
    Ok(())
}

/// Runs `bench page`.
///
/// # Errors
/// When a kept run cannot be read, or the page not be written.
pub(crate) fn write_page(workspace: &Workspace) -> Result<()> {
    let directory = workspace.root().join("docs").join("bench");
    kept::write_pages(&directory)
}
