//! A user that nobody else on this machine is, for what means every daemon of one.

use serde_json::Value;

use crate::bench::Bench;
use crate::call::Call;
use crate::daemon::Daemon;

/// An owner with these notices nothing for a day, so it stays the orphan that it is made.
pub const BLIND: [&str; 3] = ["--no-lock-events", "--lock-poll-interval", "24h"];

/// Such a user, at home in a bench.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    bench: &'a Bench,
    /// Their number.
    pub uid: u32,
}

impl<'a> User<'a> {
    /// A new one.
    pub fn new(bench: &'a Bench) -> Self {
        Self { bench, uid: bench.lone_user() }
    }

    /// The product, as this user.
    pub fn aileron(&self, args: &[&str]) -> Call {
        self.bench.aileron(args).user(self.uid)
    }

    /// Has a client of this user's start the daemon.
    pub fn start(&self, options: &[&str]) -> Daemon {
        self.aileron(&["daemon", "start"]).args(options).succeed();
        self.bench.daemon()
    }
}

/// The one with this pid in a list of a document of `daemon ps`.
pub fn among(document: &Value, list: &str, pid: u32) -> Option<Value> {
    document[list].as_array().expect("as documented").iter().find(|one| one["pid"] == pid).cloned()
}
