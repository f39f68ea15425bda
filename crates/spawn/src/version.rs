//! Which version of a daemon will do, and what becomes of one that will not. Pure.
//!
//! Two installations of a tool share one daemon, and each would rather have its own. If both replaced the other's they would
//! do so in turn for ever (codex#32983, uxc#180). So only one direction exists: a newer client replaces an older daemon, and
//! only one that is idle.

use semver::Version;

/// Which versions of a daemon will do. The client's own is the tool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRule {
    /// All of them.
    Any,
    /// Those that Semantic Versioning calls compatible with the client's: of the same major version, below 1.0 of the same
    /// minor version, below 0.1 the same; a pre-release is compatible with itself alone. Versions that are no semantic ones
    /// are compatible if they are equal.
    Compatible,
    /// The client's alone.
    Exact,
}

/// What a daemon's version means to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Good,
    /// To be replaced, if it is idle.
    Older,
    /// Newer, or not to be compared: left alone.
    NotOlder,
}

impl VersionRule {
    /// Whether a daemon of version `theirs` will do for a client of version `ours`.
    pub fn accepts(self, ours: &str, theirs: &str) -> bool {
        self.judge(ours, theirs) == Fit::Good
    }

    pub(crate) fn judge(self, ours: &str, theirs: &str) -> Fit {
        let versions = (Version::parse(ours), Version::parse(theirs));
        let good = match (self, &versions) {
            (Self::Any, _) => true,
            (Self::Compatible, (Ok(ours), Ok(theirs))) => are_compatible(ours, theirs),
            (Self::Exact | Self::Compatible, _) => ours == theirs,
        };
        match versions {
            _ if good => Fit::Good,
            (Ok(ours), Ok(theirs)) if theirs.cmp_precedence(&ours).is_lt() => Fit::Older,
            _ => Fit::NotOlder,
        }
    }
}

fn are_compatible(one: &Version, other: &Version) -> bool {
    if !one.pre.is_empty() || !other.pre.is_empty() {
        return one.cmp_precedence(other).is_eq();
    }
    let significant = |version: &Version| match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    };
    significant(one) == significant(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use VersionRule::{Any, Compatible, Exact};

    #[test]
    fn a_version_fits_or_is_older_or_is_left_alone() {
        for (rule, ours, theirs, fit) in [
            (Any, "1.0.0", "7.3.1", Fit::Good),
            (Any, "1.0.0", "whatever", Fit::Good),
            (Compatible, "1.4.0", "1.2.9", Fit::Good),
            (Compatible, "1.2.9", "1.4.0", Fit::Good),
            (Compatible, "2.0.0", "1.9.9", Fit::Older),
            (Compatible, "1.9.9", "2.0.0", Fit::NotOlder),
            (Compatible, "0.3.1", "0.3.9", Fit::Good),
            (Compatible, "0.4.0", "0.3.9", Fit::Older),
            (Compatible, "0.0.2", "0.0.1", Fit::Older),
            (Compatible, "2.0.0", "2.0.0-rc.1", Fit::Older),
            (Compatible, "2.0.0-rc.1", "2.0.0", Fit::NotOlder),
            (Compatible, "2.0.0-rc.1", "2.0.0-rc.1", Fit::Good),
            (Compatible, "2.0.0", "nightly", Fit::NotOlder),
            (Compatible, "nightly", "nightly", Fit::Good),
            (Exact, "1.2.3", "1.2.3", Fit::Good),
            (Exact, "1.2.4", "1.2.3", Fit::Older),
            (Exact, "1.2.3", "1.2.4", Fit::NotOlder),
            (Exact, "1.2.3+b", "1.2.3+a", Fit::NotOlder),
        ] {
            assert_eq!(rule.judge(ours, theirs), fit, "{rule:?}: {theirs} for {ours}");
        }
    }

    /// Of two clients at most one would replace the other's daemon.
    #[test]
    fn replacing_has_one_direction() {
        let versions = ["0.0.1", "0.0.2", "0.1.0", "0.2.0", "1.0.0-a", "1.0.0", "1.2.0", "2.0.0", "x", ""];
        for one in versions {
            for other in versions {
                for rule in [Any, Compatible, Exact] {
                    let both = rule.judge(one, other) == Fit::Older && rule.judge(other, one) == Fit::Older;
                    assert!(!both, "{rule:?}: {one} and {other}");
                }
            }
        }
    }
}
