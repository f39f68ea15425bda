//! The kept runs: one file for each benchmark and day, and the page that is made from the latest of each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{client, detect, page};

/// A run as the file has it.
pub(super) fn as_json(run: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(run).context("cannot write the run as JSON")?;
    text.push('\n');
    Ok(text)
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    eprintln!("written: {}", path.display());
    Ok(())
}

/// Keeps a run under its name and date, and writes the page from the files as they now stand there.
pub(super) fn keep(name: &str, date: &str, run: &impl Serialize, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    write(&directory.join(format!("{name}-{date}.json")), &as_json(run)?)?;
    write(&directory.join("README.md"), &page(directory)?)
}

/// The page, from the latest run of each benchmark.
pub(super) fn page(directory: &Path) -> Result<String> {
    let detect: Option<(detect::Document, String)> = latest(directory, detect::NAME)?;
    let client: Option<(client::Document, String)> = latest(directory, client::NAME)?;
    let mut kept = Vec::new();
    kept.extend(detect.as_ref().map(|(run, file)| (detect::report(run), file.as_str())));
    kept.extend(client.as_ref().map(|(run, file)| (client::report(run), file.as_str())));
    Ok(page::markdown(&kept))
}

/// The last by name, which is by date.
fn latest<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Option<(T, String)>> {
    let step = || format!("cannot list `{}`", directory.display());
    let prefix = format!("{name}-");
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(step)? {
        let file = entry.with_context(step)?.file_name().to_string_lossy().into_owned();
        if file.starts_with(&prefix) && Path::new(&file).extension().is_some_and(|end| end == "json") {
            names.push(file);
        }
    }
    let Some(file) = names.into_iter().max() else { return Ok(None) };
    let path: PathBuf = directory.join(&file);
    let bytes = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let run = serde_json::from_slice(&bytes)
        .with_context(|| format!("the kept run `{}` cannot be read back", path.display()))?;
    Ok(Some((run, file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_made_from_the_runs_beside_it() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench");
        let there = fs::read_to_string(directory.join("README.md")).expect("there is a page");
        assert!(there == page(&directory).expect("readable"), "write it anew: cargo xtask bench page");
    }

    #[test]
    fn the_latest_run_is_the_one_that_counts() {
        let temporary = tempfile::tempdir().expect("a directory");
        for (file, text) in
            [("client-2026-01-02.json", "1"), ("client-2026-01-10.json", "2"), ("client.md", "")]
        {
            fs::write(temporary.path().join(file), text).expect("written");
        }
        let found: Option<(u32, String)> = latest(temporary.path(), "client").expect("readable");
        assert_eq!(found, Some((2, "client-2026-01-10.json".to_owned())));
        assert_eq!(latest::<u32>(temporary.path(), "detect").expect("readable"), None);
    }
}
