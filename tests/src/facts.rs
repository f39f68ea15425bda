//! Waiting for a fact, and failing when it does not come.

use std::time::{Duration, Instant};

/// A deadline for what takes milliseconds: long enough for a busy machine, short enough to tell a hang.
pub const PROMPT: Duration = Duration::from_secs(10);

/// How often a fact is looked for.
const STEP: Duration = Duration::from_millis(2);

/// Looks again and again until `look` finds something; fails, naming `what`, when it has not by then.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(STEP);
    }
}
