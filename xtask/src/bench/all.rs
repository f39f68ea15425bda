//! `bench all`: every benchmark, each in a process of its own: one has a mount namespace, another raises threads, and none
//! is to find what another left.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::{client, detect, growth, idle, kept, server, size};
use crate::args::RunArgs;

const NAMES: [&str; 6] = [detect::NAME, client::NAME, server::NAME, idle::NAME, size::NAME, growth::NAME];

/// Runs them all, whatever becomes of one.
///
/// # Errors
/// When one failed, named at the end.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let directory = tempfile::Builder::new().prefix("aileron-xtask-").tempdir();
    let directory = directory.context("cannot make a temporary directory")?;
    let (mut failed, mut documents) = (Vec::new(), Map::new());
    for name in NAMES {
        println!("\n# {name}");
        let file = directory.path().join(name);
        let mut command = Command::new(&program);
        command.args(["bench", name, "--json"]).arg(&file);
        command.args(args.quick.then_some("--quick")).args(args.output.keep.then_some("--keep"));
        let status = command.status().with_context(|| format!("cannot start `bench {name}`"))?;
        if !status.success() {
            failed.push(name);
        }
        // One that failed early has written none.
        if let Ok(bytes) = std::fs::read(&file) {
            let run: Value = serde_json::from_slice(&bytes).with_context(|| format!("the run of {name}"))?;
            documents.insert(name.to_owned(), run);
        }
    }
    if let Some(path) = &args.output.json {
        kept::write(path, &kept::as_json(&documents)?)?;
    }
    println!("\n{}", summary(&documents));
    ensure!(failed.is_empty(), "bench: failed: {}", failed.join(", "));
    Ok(())
}

/// Counted in the documents: everything that says whether a target was met.
fn summary(documents: &Map<String, Value>) -> String {
    let (mut all, mut missed) = (0, Vec::new());
    for (name, document) in documents {
        for (target, met) in checks(document) {
            all += 1;
            if !met {
                missed.push(format!("{name}: {target}"));
            }
        }
    }
    let list = missed.iter().fold(String::new(), |text, line| text + "\n- " + line);
    format!("{} of {all} targets missed in {} benchmarks.{list}", missed.len(), documents.len())
}

fn checks(value: &Value) -> Vec<(String, bool)> {
    match value {
        Value::Object(fields) => match (fields.get("target"), fields.get("met")) {
            (Some(Value::String(target)), Some(Value::Bool(met))) => vec![(target.clone(), *met)],
            _ => fields.values().flat_map(checks).collect(),
        },
        Value::Array(values) => values.iter().flat_map(checks).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_missed_target_is_named_wherever_it_stands() {
        let check = |target: &str, met: bool| json!({ "target": target, "met": met });
        let run =
            json!({ "rows": [{ "check": check("fast", true) }, { "a": { "b": check("small", false) } }] });
        let documents = Map::from_iter([("size".to_owned(), run)]);
        assert_eq!(summary(&documents), "1 of 2 targets missed in 1 benchmarks.\n- size: small");
    }
}
