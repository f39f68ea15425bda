//! The owner's term: it takes a new epoch when somebody else may have been the owner since it drew the last one.
//!
//! An owner that *saw* itself away from its path has a new epoch before anybody is told that it is the owner again
//! ([`Ownership`](aileron_discovery::Ownership)). Here it is about an absence so short that only file events tell of it.

use std::time::Instant;

use aileron_discovery::{Epoch, NotOwner};

use super::Keeper;

/// Whether the lock has been at its path ever since the epoch was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Unbroken,
    /// It was away for a moment at least: a successor may have come and gone meanwhile, with a larger epoch than ours, and
    /// whoever has seen that one would refuse everything we write.
    Broken,
}

impl Keeper {
    /// Begins a new term, once it is certain that this is the owner again.
    pub(super) fn renew_broken_term(&mut self, now: Instant) {
        let undecided = self.second_look.is_some() || self.policy.ending().is_some();
        if self.term == Term::Unbroken || undecided {
            return;
        }
        if let Ok(epoch) = self.renew_epoch(None, now) {
            self.term = Term::Unbroken;
            tracing::info!(event = "epoch", %epoch, "a new epoch: the lock was away from its path");
        }
    }

    /// Takes a new epoch, and has it written down with the next look at the record.
    pub(super) fn renew_epoch(&mut self, above: Option<Epoch>, now: Instant) -> Result<Epoch, NotOwner> {
        let epoch = self.lock.renew_epoch(above)?;
        self.mender.noticed(now);
        Ok(epoch)
    }
}
