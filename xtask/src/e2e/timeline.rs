//! What happened in a round and when, in milliseconds since it began: the report draws it.

use serde::Serialize;

/// One round, drawn as lanes over a common axis.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Timeline {
    /// What stood at the lock's path, from each change on.
    pub(crate) at_path: Vec<PathChange>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) calls: Vec<Call>,
    pub(crate) marks: Vec<Mark>,
    /// When the round ended.
    pub(crate) end_ms: f64,
}

/// From here on the path leads to something else.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PathChange {
    pub(crate) at_ms: f64,
    /// An inode's number, or "nothing", "directory 7", "symlink 8".
    pub(crate) what: String,
    /// Which file, if it is one: numbers are given to inodes again, these are not.
    pub(crate) file: Option<usize>,
}

/// A daemon's life.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    /// The inode whose lock it held from its start to its end.
    pub(crate) inode: String,
    /// Which file that is, as in [`PathChange`].
    pub(crate) file: Option<usize>,
    pub(crate) from_ms: f64,
    /// As seen through its pidfd. Nothing: the round ended before it did.
    pub(crate) gone_ms: Option<f64>,
    pub(crate) ended: Option<String>,
    /// What it said of itself.
    pub(crate) said: Vec<Said>,
}

/// A lifecycle line of a daemon's log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said {
    pub(crate) at_ms: f64,
    pub(crate) event: String,
    pub(crate) text: String,
}

/// A client's run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Call {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    pub(crate) text: String,
    pub(crate) status: Option<i32>,
}

/// Something that the scenario did to the daemons.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mark {
    pub(crate) at_ms: f64,
    pub(crate) deed: Deed,
    pub(crate) text: String,
}

/// What kind of thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    /// The daemon loses its path, or its life.
    Fault,
    /// Something that must not frighten it.
    Harmless,
    /// A signal or a request.
    Message,
    /// The way is cleared again.
    Repair,
}
