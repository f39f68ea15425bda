//! When a request is made once more. Pure.
//!
//! What a client sees of a daemon that goes away, moment by moment, and what that proves:
//!
//! | the daemon … | the client sees | it may have acted |
//! |---|---|---|
//! | was gone before | connection refused | no |
//! | closed its listener with us in the backlog | reset before our proof was answered | no: nothing but a challenge was sent |
//! | is leaving, or was displaced, before the proof | `draining`, or 503 `identity_lost`, to the challenge | no |
//! | closed a kept connection some time ago | end of the stream, before a byte of the request is written | no |
//! | closes a kept connection at this moment | end or reset, after the request was written | yes |
//! | was displaced after the proof | 503 `identity_lost` | no: the fence is asked before the handler, and `Fenced` says that it did nothing |
//! | drains | the answer | it has |
//! | is killed, or ends by force | end or reset, after the request was written | yes |
//! | is killed in the middle of its answer | half an answer | it has, most likely |
//!
//! So a client proves the instance on the very connection on which it then asks, and right before it where the method is
//! not idempotent: a leaving daemon keeps a connection for whoever has just proved it
//! ([`LEASE`](aileron_discovery::protocol::LEASE)). What is left in doubt then are daemons that are killed, or end by force
//! after their drain.

/// How often a call may find that nothing was sent. At the edge of an idle time-out a daemon can be found and gone again
/// before it is asked, on a busy machine more than once; five times in a row is a daemon that does not stay.
const NOT_SENT: u32 = 5;

/// Whether a request may be made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is as good as once: an idempotent method (RFC 9110, section 9.2.2).
    Harmless,
    /// Anything else.
    Harmful,
}

impl Repeat {
    /// Of a method, whose name is case-sensitive (RFC 9110, section 9.1).
    pub(crate) fn of(method: &str) -> Self {
        match method {
            "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" => Self::Harmless,
            _ => Self::Harmful,
        }
    }
}

/// How an attempt came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Nothing of the request was sent: refused, not proved, or closed before.
    NotSent,
    /// 503 `identity_lost`: it was heard and not acted upon.
    IdentityLost,
    /// The connection ended after some of the request was sent, without a whole answer.
    Broken,
    /// An answer, whatever it says.
    Answered,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The answer is the caller's.
    Done,
    /// Resolve again, and ask once more.
    Again,
    /// Say what happened.
    GiveUp,
}

/// One call, from its first attempt to its last.
#[derive(Debug)]
pub(crate) struct Retry {
    repeat: Repeat,
    /// A request that was sent is sent once more, not twice.
    repeated: bool,
    not_sent: u32,
    maybe_done: bool,
}

impl Retry {
    pub(crate) fn new(repeat: Repeat) -> Self {
        Self { repeat, repeated: false, not_sent: 0, maybe_done: false }
    }

    /// Whether any attempt so far may have been acted upon, or been left half-way by a deadline.
    pub(crate) fn maybe_done(&self) -> bool {
        self.maybe_done
    }

    pub(crate) fn after(&mut self, attempt: Attempt) -> Verdict {
        match attempt {
            Attempt::Answered => Verdict::Done,
            Attempt::NotSent => {
                self.not_sent += 1;
                if self.not_sent < NOT_SENT { Verdict::Again } else { Verdict::GiveUp }
            }
            Attempt::IdentityLost => self.once(),
            Attempt::Broken => {
                self.maybe_done = true;
                if self.repeat == Repeat::Harmless { self.once() } else { Verdict::GiveUp }
            }
        }
    }

    fn once(&mut self) -> Verdict {
        if std::mem::replace(&mut self.repeated, true) { Verdict::GiveUp } else { Verdict::Again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Attempt::{Answered, Broken, IdentityLost, NotSent};
    use Verdict::{Again, Done, GiveUp};

    #[test]
    fn only_idempotent_methods_may_be_made_twice() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert_eq!(Repeat::of(method), Repeat::Harmless, "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "get", "SEARCH", ""] {
            assert_eq!(Repeat::of(method), Repeat::Harmful, "{method}");
        }
    }

    /// Each row: what was seen, one attempt after the other, what the last of them comes to, and whether the whole may have
    /// been done.
    #[test]
    fn what_is_safe_is_made_once_more() {
        type Row<'a> = (&'a [Attempt], [(Verdict, bool); 2]);
        let table: &[Row<'_>] = &[
            // seen                                   idempotent        not idempotent
            (&[Answered], [(Done, false), (Done, false)]),
            (&[NotSent], [(Again, false), (Again, false)]),
            (&[NotSent, Answered], [(Done, false), (Done, false)]),
            (&[NotSent, NotSent], [(Again, false), (Again, false)]),
            (&[NotSent, NotSent, NotSent, NotSent, NotSent], [(GiveUp, false), (GiveUp, false)]),
            (&[IdentityLost], [(Again, false), (Again, false)]),
            (&[IdentityLost, Answered], [(Done, false), (Done, false)]),
            (&[IdentityLost, IdentityLost], [(GiveUp, false), (GiveUp, false)]),
            (&[IdentityLost, NotSent], [(Again, false), (Again, false)]),
            (&[NotSent, IdentityLost], [(Again, false), (Again, false)]),
            (&[IdentityLost, NotSent, IdentityLost], [(GiveUp, false), (GiveUp, false)]),
            (&[Broken], [(Again, true), (GiveUp, true)]),
            (&[NotSent, Broken], [(Again, true), (GiveUp, true)]),
            (&[IdentityLost, Broken], [(GiveUp, true), (GiveUp, true)]),
        ];
        for (seen, expected) in table {
            for (repeat, expected) in [Repeat::Harmless, Repeat::Harmful].into_iter().zip(expected) {
                let mut retry = Retry::new(repeat);
                let last = seen.iter().map(|attempt| retry.after(*attempt)).last();
                assert_eq!(
                    (last, retry.maybe_done()),
                    (Some(expected.0), expected.1),
                    "{repeat:?}: {seen:?}"
                );
            }
        }
    }

    /// What an idempotent call has left behind is said, though its last attempt did nothing.
    #[test]
    fn a_doubt_is_not_forgotten() {
        for last in [NotSent, IdentityLost, Broken] {
            let mut retry = Retry::new(Repeat::Harmless);
            assert_eq!(retry.after(Broken), Again);
            let verdict = retry.after(last);
            assert_eq!(verdict, if last == NotSent { Again } else { GiveUp }, "{last:?}");
            assert!(retry.maybe_done(), "{last:?}");
        }
    }
}
