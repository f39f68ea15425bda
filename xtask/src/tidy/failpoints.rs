//! Failpoints, at which a test has a process killed, are in builds that ask for them by name and in no other.
//!
//! Cargo unites the features of all packages that it builds at once: one default, or one dependency that always asks, and
//! the product that is built beside it can be told to kill itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cargo_metadata::Metadata;

use super::Finding;

const RULE: &str = "failpoints-off";
const FEATURE: &str = "failpoints";

/// One member: its features, and those that its dependencies are always asked for.
struct Member {
    manifest: PathBuf,
    features: BTreeMap<String, Vec<String>>,
    asked_for: Vec<String>,
}

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let members = metadata.packages.iter().map(|package| Member {
        manifest: package
            .manifest_path
            .strip_prefix(&metadata.workspace_root)
            .unwrap_or(&package.manifest_path)
            .into(),
        features: package.features.clone().into_iter().collect(),
        asked_for: package.dependencies.iter().flat_map(|dependency| dependency.features.clone()).collect(),
    });
    members.flat_map(|member| check_member(&member)).collect()
}

fn check_member(member: &Member) -> Vec<Finding> {
    let finding = |what| Finding { path: member.manifest.clone(), line: 1, rule: RULE, what };
    let mut findings = Vec::new();
    if member.asked_for.iter().any(|feature| feature == FEATURE) {
        findings.push(finding("a dependency is always built with failpoints".to_owned()));
    }
    // A feature of the same name hands the wish on, and is itself asked for by name.
    for (feature, implied) in member.features.iter().filter(|(feature, _)| *feature != FEATURE) {
        if implied.iter().any(|implied| implied.rsplit('/').next() == Some(FEATURE)) {
            findings.push(finding(format!("the feature `{feature}` switches failpoints on")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(features: &[(&str, &[&str])], asked_for: &[&str]) -> usize {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let features = features.iter().map(|(name, implied)| ((*name).to_owned(), texts(implied))).collect();
        check_member(&Member { manifest: PathBuf::from("Cargo.toml"), features, asked_for: texts(asked_for) })
            .len()
    }

    #[test]
    fn whatever_switches_failpoints_on_unasked_is_found() {
        assert_eq!(findings(&[("default", &["failpoints"])], &[]), 1);
        assert_eq!(findings(&[("full", &["aileron-discovery/failpoints"])], &[]), 1);
        assert_eq!(findings(&[], &["std", "failpoints"]), 1);
    }

    #[test]
    fn a_feature_of_that_name_is_no_finding() {
        assert_eq!(
            findings(&[("failpoints", &["aileron-discovery/failpoints"]), ("default", &[])], &["std"]),
            0
        );
    }
}
