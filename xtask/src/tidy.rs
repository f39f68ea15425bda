//! The rules that no compiler knows, checked over the whole tree in well under a second.
//!
//! Each rule is a function from a [`Source`] (or from `cargo metadata`) to [`Finding`]s, in a module that says why the
//! rule stands. `cargo test --workspace` runs them too, so that a change cannot forget them.
//!
//! The rules read tokens, not text: a word in a comment or in a string is no call.

mod failpoints;
mod imports;
mod leftovers;
mod length;
mod lock_safety;
mod module_docs;
mod platform;
mod source;
mod tokens;
mod tree;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
pub(crate) use source::Source;

/// One place where the tree breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: PathBuf,
    line: usize,
    rule: &'static str,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path.display(), self.line, self.rule, self.what)
    }
}

/// What a pass over the tree found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    files: usize,
    findings: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// Prints what was found.
///
/// # Errors
/// When a rule is broken, or a file cannot be read.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let verdict = check(workspace)?;
    for warning in &verdict.warnings {
        println!("warning: {warning}");
    }
    for finding in &verdict.findings {
        println!("{finding}");
    }
    match verdict.findings.len() {
        0 => println!("tidy: {} files, no finding, {} warnings", verdict.files, verdict.warnings.len()),
        count => bail!("tidy: {count} findings in {} files", verdict.files),
    }
    Ok(())
}

/// Applies every rule to every file of the workspace.
fn check(workspace: &Workspace) -> Result<Verdict> {
    let mut verdict = Verdict { findings: imports::check(workspace.metadata()), ..Verdict::default() };
    verdict.findings.extend(failpoints::check(workspace.metadata()));
    for file in tree::text_files(workspace.root(), workspace.target_dir())? {
        verdict.files += 1;
        verdict.findings.extend(leftovers::check_text(&file));
        if file.path.extension().is_some_and(|extension| extension == "rs") {
            match Source::parse(file) {
                Ok(source) => check_source(&source, &mut verdict),
                Err(finding) => verdict.findings.push(finding),
            }
        }
    }
    verdict.findings.sort();
    verdict.warnings.sort();
    Ok(verdict)
}

fn check_source(source: &Source, verdict: &mut Verdict) {
    verdict.warnings.extend(length::warn_file(source));
    let rules = [
        module_docs::check,
        length::check_file,
        length::check_functions,
        platform::check_cfg,
        platform::check_std_os,
        platform::check_unsafe,
        lock_safety::check,
        leftovers::check_tokens,
    ];
    verdict.findings.extend(rules.iter().flat_map(|rule| rule(source)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let workspace = Workspace::find().expect("the workspace is readable");
        let verdict = check(&workspace).expect("every file is readable");
        let shown: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
        assert!(verdict.files > 20, "only {} files were looked at", verdict.files);
    }
}
