//! Which crate may depend on which: `cli -> {server, spawn} -> discovery`, and nothing else.
//!
//! `server` and `spawn` share no code, or a client would carry a daemon's runtime and a daemon could start daemons.
//! `xtask` and the model depend on none of them: they are judges. Development dependencies count, because a test that
//! reaches across tests a program that nobody ships.

use std::path::PathBuf;

use cargo_metadata::Metadata;

use super::Finding;

const RULE: &str = "import-direction";

/// Each member, and which members it may depend on.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("aileron-discovery", &[]),
    ("aileron-server", &["aileron-discovery"]),
    ("aileron-spawn", &["aileron-discovery"]),
    ("aileron-cli", &["aileron-discovery", "aileron-server", "aileron-spawn"]),
    ("aileron-tests", &["aileron-discovery", "aileron-server", "aileron-spawn", "aileron-cli"]),
    ("aileron-fuzz", &["aileron-discovery", "aileron-server", "aileron-spawn", "aileron-cli"]),
    ("aileron-model", &[]),
    ("xtask", &[]),
];

/// One member and the members it depends on, in whatever way.
struct Member {
    manifest: PathBuf,
    name: String,
    depends_on: Vec<String>,
}

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let names: Vec<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let members = metadata.packages.iter().map(|package| Member {
        manifest: package
            .manifest_path
            .strip_prefix(&metadata.workspace_root)
            .unwrap_or(&package.manifest_path)
            .into(),
        name: package.name.to_string(),
        depends_on: package.dependencies.iter().map(|dependency| dependency.name.clone()).collect(),
    });
    members.flat_map(|member| check_member(&member, &names)).collect()
}

fn check_member(member: &Member, ours: &[String]) -> Vec<Finding> {
    let finding = |what| Finding { path: member.manifest.clone(), line: 1, rule: RULE, what };
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member.name) else {
        return vec![finding(format!("`{}` has no place in the import order", member.name))];
    };
    let forbidden = member
        .depends_on
        .iter()
        .filter(|name| ours.contains(name) && **name != member.name && !allowed.contains(&name.as_str()));
    forbidden.map(|name| finding(format!("`{}` must not depend on `{name}`", member.name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, depends_on: &[&str]) -> Vec<Finding> {
        let ours: Vec<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
        let member = Member {
            manifest: PathBuf::from("Cargo.toml"),
            name: name.to_owned(),
            depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
        };
        check_member(&member, &ours)
    }

    #[test]
    fn forbidden_directions_are_found() {
        for (name, dependency) in [
            ("aileron-server", "aileron-spawn"),
            ("aileron-spawn", "aileron-server"),
            ("aileron-discovery", "aileron-server"),
            ("aileron-spawn", "aileron-cli"),
            ("xtask", "aileron-discovery"),
        ] {
            assert_eq!(findings(name, &[dependency, "serde"]).len(), 1, "{name} -> {dependency}");
        }
        assert_eq!(findings("aileron-surprise", &[]).len(), 1);
    }

    #[test]
    fn the_right_direction_is_no_finding() {
        assert!(findings("aileron-cli", &["aileron-server", "aileron-spawn", "clap"]).is_empty());
        assert!(findings("aileron-server", &["aileron-discovery"]).is_empty());
    }
}
