//! What happened in a round and when, in milliseconds since it began: the report draws it.

use serde::Serialize;

/// One round, drawn as lanes over a common axis.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Timeline {
    /// What stood at the lock's path, from each change on.
    pub(super) at_path: Vec<PathChange>,
    pub(super) lanes: Vec<Lane>,
    pub(super) calls: Vec<Call>,
    pub(super) marks: Vec<Mark>,
    /// When the round ended.
    pub(super) end_ms: f64,
}

/// From here on the path leads to something else.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PathChange {
    pub(super) at_ms: f64,
    /// An inode's number, or "nothing", "directory 7", "symlink 8".
    pub(super) what: String,
    /// Which file, if it is one: numbers are given to inodes again, these are not.
    pub(super) file: Option<usize>,
}

/// A daemon's life.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Lane {
    pub(super) name: &'static str,
    pub(super) pid: u32,
    /// The inode whose lock it held from its start to its end.
    pub(super) inode: String,
    /// Which file that is, as in [`PathChange`].
    pub(super) file: Option<usize>,
    pub(super) from_ms: f64,
    /// As seen through its pidfd. Nothing: the round ended before it did.
    pub(super) gone_ms: Option<f64>,
    pub(super) ended: Option<String>,
    /// What it said of itself.
    pub(super) said: Vec<Said>,
}

/// A lifecycle line of a daemon's log.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Said {
    pub(super) at_ms: f64,
    pub(super) event: String,
    pub(super) text: String,
}

/// A client's run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Call {
    pub(super) from_ms: f64,
    pub(super) to_ms: f64,
    pub(super) text: String,
    pub(super) status: Option<i32>,
}

/// Something that the scenario did to the daemons.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Mark {
    pub(super) at_ms: f64,
    pub(super) deed: Deed,
    pub(super) text: String,
}

/// What kind of thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Deed {
    /// The daemon loses its path, or its life.
    Fault,
    /// Something that must not frighten it.
    Harmless,
    /// A signal or a request.
    Message,
    /// The way is cleared again.
    Repair,
}
