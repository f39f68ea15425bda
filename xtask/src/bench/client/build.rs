//! The programs that are measured, each in two builds of one profile: linked dynamically, and statically as by `xtask dist`.

use std::path::PathBuf;

use anyhow::Result;

use crate::dist;
use crate::workspace::{Workspace, run_to_success};

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Build {
    Dynamic,
    Static,
}

impl Build {
    pub(in crate::bench) fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Static => "static",
        }
    }
}

/// The product and what it is compared with, linked alike.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Programs {
    pub(in crate::bench) build: Build,
    pub(in crate::bench) aileron: PathBuf,
    /// `crates/spawn/examples/bare_client.rs`.
    pub(in crate::bench) bare: PathBuf,
}

/// The bare client and the timer of finds are examples of that crate: linked with what the product is linked with.
const PACKAGE: &str = "aileron-spawn";
const BARE: &str = "bare_client";
const FIND: &str = "find_cost";

/// Builds everything. Where no static build can be made, that is said, and there is none.
pub(in crate::bench) fn programs(workspace: &Workspace) -> Result<Vec<Programs>> {
    let binary: [&[&str]; 2] =
        [&["--package", "aileron-cli", "--bin", "aileron"], &["--package", PACKAGE, "--example", BARE]];
    for what in binary {
        run_to_success(workspace.cargo().args(["build", "--release"]).args(what))?;
    }
    let of = |build, release: PathBuf| Programs {
        build,
        aileron: release.join("aileron"),
        bare: release.join("examples").join(BARE),
    };
    let mut all = vec![of(Build::Dynamic, workspace.target_dir().join("release"))];
    match binary.into_iter().try_for_each(|what| dist::build_static(workspace, what)) {
        Ok(()) => all.push(of(Build::Static, dist::release_dir(workspace)?)),
        Err(error) => eprintln!("xtask: no static build, and no row for it: {error:#}"),
    }
    Ok(all)
}

/// Builds the example that times finds within a process.
pub(in crate::bench) fn find_cost(workspace: &Workspace) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--package", PACKAGE, "--example", FIND];
    run_to_success(workspace.cargo().args(arguments))?;
    Ok(workspace.target_dir().join("release").join("examples").join(FIND))
}
