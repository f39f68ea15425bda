//! The owner's term: it takes a new epoch when somebody else may have been the owner since it drew the last one.

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
    pub(super) fn renew_broken_term(&mut self) {
        let undecided = self.second_look.is_some() || self.policy.ending().is_some();
        if self.term == Term::Unbroken || undecided {
            return;
        }
        if let Ok(epoch) = self.renew_epoch(None) {
            self.term = Term::Unbroken;
            tracing::info!(event = "epoch", %epoch, "a new epoch: the lock was away from its path");
        }
    }

    /// Draws an epoch, asks for ownership before it is used, and has it written down.
    pub(super) fn renew_epoch(&mut self, above: Option<Epoch>) -> Result<Epoch, NotOwner> {
        let epoch = self.lock.renew_epoch(above)?;
        self.write_down(epoch);
        Ok(epoch)
    }
}
