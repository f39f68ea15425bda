//! What `daemon doctor` reports.

use std::time::Duration;

use serde_json::Value;

use crate::{Bench, Call, End, Outcome};

/// How many checks there are.
const ALL: usize = 24;

/// A whole report.
#[derive(Debug)]
pub struct Report {
    /// As it was printed.
    pub document: Value,
    /// The exit status.
    pub status: i32,
    /// What was said before it.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Has it made by a call of the product, whose command is still to be said.
    pub fn of(call: Call) -> Self {
        let outcome = call.args(["--json", "daemon", "doctor"]).run();
        Self::parse(&outcome)
    }

    /// What a command came to.
    pub fn parse(outcome: &Outcome) -> Self {
        let End::Status(status) = outcome.end else { panic!("{outcome:?}") };
        let document = outcome.json();
        assert_eq!(
            document["checks"].as_array().expect("as documented").len(),
            ALL,
            "a whole report: {outcome:?}"
        );
        Self { document, status, stderr: outcome.stderr.clone(), took: outcome.took }
    }

    /// One check.
    pub fn check(&self, name: &str) -> &Value {
        let checks = self.document["checks"].as_array().expect("as documented");
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}"))
    }

    /// The check has this result, its evidence speaks of this, and what is wrong has a remedy.
    pub fn says(&self, name: &str, result: &str, evidence: &str) -> &Self {
        let check = self.check(name);
        assert_eq!(check["result"], result, "{check}");
        assert!(check["evidence"].as_str().expect("as documented").contains(evidence), "{check}");
        assert_eq!(matches!(result, "warning" | "failure"), check["remedy"].is_string(), "{check}");
        let failed = self.document["checks"]
            .as_array()
            .expect("as documented")
            .iter()
            .any(|check| check["result"] == "failure");
        assert_eq!(self.status, i32::from(failed), "the status says whether a check failed");
        self
    }

    /// What would be or was done, and what became of it.
    pub fn fixes(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("as documented").to_owned();
        let fixes = self.document["fixes"].as_array().expect("as documented");
        fixes.iter().map(|fix| (text(&fix["what"]), text(&fix["outcome"]))).collect()
    }
}

/// The report of a bench's directory.
pub fn doctor(bench: &Bench) -> Report {
    Report::of(bench.aileron(&[]))
}

/// The same after `--fix`.
pub fn fix(bench: &Bench) -> Report {
    Report::parse(&bench.aileron(&["--json", "daemon", "doctor", "--fix"]).run())
}
