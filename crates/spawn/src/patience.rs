//! How long a lock may be held by somebody who proves nothing, before that is said.

use std::time::{Duration, Instant};

use aileron_discovery::process::Elsewhere;
use aileron_discovery::{Deadline, InstanceId, StateDir};

use crate::ensure::EnsureError;
use crate::find::{Finding, classify};
use crate::look::{Held, Quiet};

/// How long a daemon that holds the lock may say nothing before it is called unresponsive.
pub(crate) const SILENT: Duration = Duration::from_secs(5);

/// How long it may refuse connections: a daemon that is leaving has closed its port and drains for up to 10 s.
const REFUSING: Duration = Duration::from_secs(15);

/// How long a lock may be held beside a record that is not from here. Such a daemon does not come nearer by waiting; but a
/// child of a daemon that has just ended may hold its lock for some milliseconds, as a starter allows for too.
const ELSEWHERE: Duration = Duration::from_millis(250);

/// How long until a daemon that was seen to be starting is looked for in the process table again.
const NEXT_LOOK: Duration = Duration::from_secs(1);

/// A held lock behind which nobody is proved, and since when.
pub(crate) struct Unproved {
    deadline: Deadline,
    since: Instant,
    /// In which ways nobody was proved, whose record there was, and since when: a daemon that has refused while it drained says
    /// nothing of its successor that is silent for a moment. Each has a patience of its own, which ends, however they take turns.
    ways: Vec<(Quiet, Option<InstanceId>, Instant)>,
    /// When to judge next, after it was judged that a daemon is starting.
    not_before: Duration,
    /// What the last look saw that was not cut short by the deadline: the one after it sees no answer, whatever there is.
    seen: Option<String>,
}

impl Unproved {
    pub(crate) fn since(since: Instant, deadline: Deadline) -> Self {
        Self { deadline, since, ways: Vec::new(), not_before: Duration::ZERO, seen: None }
    }

    /// How long it has been in this way.
    fn waited(&mut self, held: &Held) -> Duration {
        let instance = held.record.as_ref().and_then(|record| record.instance.as_ref());
        let known = self.ways.iter().find(|(quiet, of, _)| *quiet == held.quiet && of.as_ref() == instance);
        if let Some((.., since)) = known {
            return since.elapsed();
        }
        let since = if self.ways.is_empty() { self.since } else { Instant::now() };
        self.ways.push((held.quiet, instance.cloned(), since));
        since.elapsed()
    }

    /// Goes on waiting, or says what the matter is. The process table is read only once the patience is over: who has just
    /// started is found within milliseconds anyway.
    pub(crate) fn judge(&mut self, state_dir: &StateDir, held: &Held) -> Result<(), EnsureError> {
        let waited = self.waited(held);
        if !self.deadline.passed() {
            self.seen = Some(held.why.clone());
        }
        let is_elsewhere = held.record.as_ref().is_some_and(|record| Elsewhere::of(record).is_some());
        let patience = match held.quiet {
            _ if is_elsewhere => ELSEWHERE,
            Quiet::Refusing => REFUSING,
            Quiet::Silent | Quiet::Stranger | Quiet::Unadvertised => SILENT,
        };
        if (waited < patience || self.since.elapsed() < self.not_before) && !self.deadline.passed() {
            return Ok(());
        }
        match classify(state_dir, held, self.deadline.elapsed()) {
            Finding::Starting { pid } if self.deadline.passed() => Err(EnsureError::StartInProgress {
                step: "waiting for a daemon that holds the lock and is not ready",
                pid: Some(pid),
                elapsed: self.deadline.elapsed(),
            }),
            Finding::Unadvertised { pid, why } if self.deadline.passed() => {
                Err(EnsureError::Unresponsive { pid: Some(pid), why, elapsed: self.deadline.elapsed() })
            }
            Finding::Starting { .. } | Finding::Unadvertised { .. } => {
                self.not_before = self.since.elapsed() + NEXT_LOOK;
                Ok(())
            }
            Finding::Elsewhere { elsewhere, pid, host } => {
                Err(EnsureError::Elsewhere { elsewhere, pid, host })
            }
            Finding::Unresponsive { pid, elapsed, .. } => {
                let why = self.seen.take().unwrap_or_else(|| held.why.clone());
                Err(EnsureError::Unresponsive { pid, why, elapsed })
            }
            Finding::Explicit(_) | Finding::Found(_) | Finding::NotRunning { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quiet::{Refusing, Silent};

    /// A daemon that refused for most of its patience while it drained, and a successor that is silent for a moment.
    #[test]
    fn another_kind_of_silence_is_waited_for_anew() {
        let begun = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let mut unproved = Unproved::since(begun, Deadline::after(Duration::from_mins(1)));
        let temp = tempfile::tempdir().unwrap();
        let file = aileron_discovery::file_identity(temp.path()).unwrap();
        let mut waited =
            |quiet| unproved.waited(&Held { lock: file, record: None, quiet, why: String::new() });
        assert!(waited(Refusing) >= Duration::from_secs(10));
        assert!(waited(Silent) < SILENT, "begun anew");
        assert!(waited(Refusing) >= Duration::from_secs(10), "and not for ever, by turns");
    }
}
