//! A figure held against what the project promises of it.

use serde::{Deserialize, Serialize};

/// The promise in words, and whether the figure keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) target: String,
    pub(super) met: bool,
}
