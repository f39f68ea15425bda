//! What an embedder's service is given: who it is, whether it still is, and how it hears of the end.

use std::future::Future;
use std::sync::Arc;

use aileron_discovery::{Epoch, InstanceId, NotOwner, Ownership, StateDir, Verdict};
use axum::body::Body;
use axum::http::Response;
use axum::response::IntoResponse;
use tokio::sync::oneshot;

use crate::api::Refused;
use crate::guard::identity_lost;
use crate::shared::{Message, Phase, Shared};

/// What an embedder's service is built with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    shared: Arc<Shared>,
}

/// Refused, because this is not, or not for certain, the daemon any more. As a response it is what the fence itself answers:
/// 503, and a problem document with the code `identity_lost`, which tells the client to find the present daemon.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Fenced(#[from] NotOwner);

impl IntoResponse for Fenced {
    fn into_response(self) -> Response<Body> {
        Refused(identity_lost()).into_response()
    }
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The handle to ask before a side effect: is this still the daemon?
    pub fn ownership(&self) -> &Ownership {
        &self.shared.ownership
    }

    /// Asks before a side effect, and gives the fencing token to send with it: one `lstat(2)`, no lock, no allocation.
    ///
    /// # Hazard
    ///
    /// An owner whose directory was moved away, served by another and moved back, all between two looks, is given its old
    /// epoch. A receiver that has seen the other's refuses it; one that has not cannot know (`docs/design/0004`).
    ///
    /// # Errors
    ///
    /// [`Fenced`]: act on nothing. The keeper is told to look at once.
    pub fn fence(&self) -> Result<Epoch, Fenced> {
        self.shared.ownership.fencing_token().map_err(|lost| self.fenced(lost))
    }

    /// Takes a larger epoch than `seen`, because a receiver has refused the present one or knew a larger one at the start.
    ///
    /// A receiver that refuses has seen a later owner's write. If that owner has gone again and this is the owner once more
    /// (its directory was moved away and back between two looks), the write may be repeated under the epoch that this
    /// returns. An orphan gets none.
    ///
    /// # Errors
    ///
    /// [`Fenced`], as for [`fence`](Self::fence); also where it cannot be told whether this is the owner, and once the drain is
    /// over.
    pub async fn renew_epoch(&self, seen: Epoch) -> Result<Epoch, Fenced> {
        let (answer, renewed) = oneshot::channel();
        self.shared.inbox.send(Message::RenewEpoch(seen, answer));
        match renewed.await {
            Ok(renewed) => renewed.map_err(|lost| self.fenced(lost)),
            // The keeper is ending the daemon, or has.
            Err(_) => Err(Fenced(NotOwner {
                path: self.shared.ownership.lock_path().to_owned(),
                verdict: Verdict::Suspect,
            })),
        }
    }

    fn fenced(&self, lost: NotOwner) -> Fenced {
        self.shared.inbox.send(Message::LookNow);
        Fenced(lost)
    }

    /// The state directory.
    pub fn state_dir(&self) -> &StateDir {
        &self.shared.state_dir
    }

    /// The instance.
    pub fn instance(&self) -> &InstanceId {
        &self.shared.instance
    }

    /// Runs `task` on the daemon's runtime; when it ends or panics before the daemon does, the daemon ends with status 1.
    pub fn spawn_vital<F>(&self, name: &str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (name, shared) = (name.to_owned(), Arc::clone(&self.shared));
        let task = tokio::spawn(task);
        tokio::spawn(async move {
            let how = match task.await {
                Ok(()) => "returned",
                Err(error) if error.is_panic() => "panicked",
                Err(_) => return,
            };
            shared.inbox.send(Message::VitalTaskEnded(format!("{name} {how}")));
        });
    }

    /// Resolves when the daemon begins to drain.
    pub async fn draining(&self) {
        let mut phase = self.shared.phase.subscribe();
        // An error says that the daemon is gone altogether.
        if phase.wait_for(|phase| *phase >= Phase::Draining).await.is_err() {}
    }
}
