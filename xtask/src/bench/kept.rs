//! The kept runs: one file for each benchmark and day, and the page that is made from the latest of each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::standing::{self, Standing};
use super::{client, detect, growth, idle, page, server, size};

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
    let stem = if name == size::NAME { unused(directory, name, date) } else { format!("{name}-{date}") };
    write(&directory.join(format!("{stem}.json")), &as_json(run)?)?;
    write_pages(directory)
}

/// Of size every run is kept, because all of them together are the trend.
fn unused(directory: &Path, name: &str, date: &str) -> String {
    let stems = std::iter::once(format!("{name}-{date}"))
        .chain((2..).map(|number: u32| format!("{name}-{date}-{number:02}")));
    let mut free = stems.filter(|stem| !directory.join(format!("{stem}.json")).exists());
    free.next().expect("numbers do not end")
}

/// Writes the page and what is drawn beside it.
pub(super) fn write_pages(directory: &Path) -> Result<()> {
    pages(directory)?.into_iter().try_for_each(|(name, text)| write(&directory.join(name), &text))
}

/// The page and its drawings, by the names of their files, from the latest run of each benchmark.
fn pages(directory: &Path) -> Result<Vec<(String, String)>> {
    let detect: Option<(detect::Document, String)> = latest(directory, detect::NAME)?;
    let client: Option<(client::Document, String)> = latest(directory, client::NAME)?;
    let server: Option<(server::Document, String)> = latest(directory, server::NAME)?;
    let idle: Option<(idle::Document, String)> = latest(directory, idle::NAME)?;
    let sizes: Vec<(size::Document, String)> = all(directory, size::NAME)?;
    let growth: Option<(growth::Document, String)> = latest(directory, growth::NAME)?;
    let trend: Vec<size::Document> = sizes.iter().map(|(run, _)| run.clone()).collect();
    let mut kept = Vec::new();
    kept.extend(detect.as_ref().map(|(run, file)| (detect::report(run), file.as_str())));
    kept.extend(client.as_ref().map(|(run, file)| (client::report(run), file.as_str())));
    kept.extend(server.as_ref().map(|(run, file)| (server::report(run), file.as_str())));
    kept.extend(idle.as_ref().map(|(run, file)| (idle::report(run), file.as_str())));
    kept.extend(sizes.last().map(|(run, file)| (size::report(run, &trend), file.as_str())));
    kept.extend(growth.as_ref().map(|(run, file)| (growth::report(run), file.as_str())));
    let mut standings: Vec<Standing> = Vec::new();
    standings.extend(detect.iter().flat_map(|(run, _)| detect::standings(run)));
    standings.extend(client.iter().flat_map(|(run, _)| client::standings(run)));
    standings.extend(server.iter().flat_map(|(run, _)| server::standings(run)));
    let standing = standing::draw(&standings);
    let text = page::markdown_under(standing.as_ref(), &kept);
    let mut pages = vec![("README.md".to_owned(), text)];
    let plots = kept.into_iter().flat_map(|(report, _)| report.plots).chain(standing);
    pages.extend(plots.map(|plot| (plot.file, plot.svg)));
    Ok(pages)
}

/// The last, by date.
fn latest<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Option<(T, String)>> {
    let Some(file) = files(directory, name)?.pop() else { return Ok(None) };
    read(directory, file).map(Some)
}

/// Every one, in the order in which they were made.
fn all<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Vec<(T, String)>> {
    files(directory, name)?.into_iter().map(|file| read(directory, file)).collect()
}

fn read<T: DeserializeOwned>(directory: &Path, file: String) -> Result<(T, String)> {
    let path: PathBuf = directory.join(&file);
    let bytes = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let run = serde_json::from_slice(&bytes)
        .with_context(|| format!("the kept run `{}` cannot be read back", path.display()))?;
    Ok((run, file))
}

/// Sorted by name without the ending, which is by date and then by number.
fn files(directory: &Path, name: &str) -> Result<Vec<String>> {
    let step = || format!("cannot list `{}`", directory.display());
    let prefix = format!("{name}-");
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(step)? {
        let file = entry.with_context(step)?.file_name().to_string_lossy().into_owned();
        if file.starts_with(&prefix) && Path::new(&file).extension().is_some_and(|end| end == "json") {
            names.push(file);
        }
    }
    names.sort_by(|one, other| one.trim_end_matches(".json").cmp(other.trim_end_matches(".json")));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_made_from_the_runs_beside_it() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench");
        for (name, text) in pages(&directory).expect("readable") {
            let there = fs::read_to_string(directory.join(&name)).expect("the page, or a drawing");
            assert!(there == text, "write `{name}` anew: cargo xtask bench page");
        }
    }

    #[test]
    fn of_size_every_run_is_kept_in_its_order() {
        let temporary = tempfile::tempdir().expect("a directory");
        for number in 1..=3 {
            let stem = unused(temporary.path(), "size", "2026-01-02");
            fs::write(temporary.path().join(format!("{stem}.json")), number.to_string()).expect("written");
        }
        let kept: Vec<(u32, String)> = all(temporary.path(), "size").expect("readable");
        assert_eq!(kept.iter().map(|(run, _)| *run).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(kept[2].1, "size-2026-01-02-03.json");
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
