//! One check's answer.

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// Works, and will trouble somebody.
    Warning,
    /// Does not work.
    Failure,
    /// There was nothing to look at, and it is said why.
    Skipped,
}

impl Outcome {
    /// Its name in `--json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
        }
    }
}

/// What was seen, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    outcome: Outcome,
    evidence: String,
    remedy: Option<String>,
}

impl Verdict {
    pub(super) fn ok(evidence: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, evidence: evidence.into(), remedy: None }
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, evidence: why.into(), remedy: None }
    }

    pub(super) fn warning(evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, evidence: evidence.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn failure(evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failure, evidence: evidence.into(), remedy: Some(remedy.into()) }
    }

    /// What did not answer in time is wrong, whatever it would have said.
    pub(super) fn unanswered(why: &str) -> Self {
        Self::failure(why, "see whether its file system answers (`df`, `mount`)")
    }

    #[cfg(test)]
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }
}

/// A check by its name.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) evidence: String,
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn of(name: &'static str, verdict: Verdict) -> Self {
        let Verdict { outcome, evidence, remedy } = verdict;
        Self { name, outcome, evidence, remedy }
    }
}
