//! Which files the rules are applied to: every text file that is the project's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file of the project with its text.
#[derive(Clone, Debug)]
pub(super) struct TextFile {
    /// Relative to the workspace's root, with `/`.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Hidden directories that are ours all the same.
const OUR_HIDDEN: [&str; 3] = [".ci", ".github", ".cargo"];
const TEXT: [&str; 8] = ["rs", "toml", "md", "yml", "yaml", "sh", "css", "run"];

/// Every text file below `root`, sorted, without `target_dir`, version control and what tools leave.
pub(super) fn text_files(root: &Path, target_dir: &Path) -> Result<Vec<TextFile>> {
    let mut paths = Vec::new();
    collect(root, target_dir, &mut paths)?;
    paths.sort();
    paths.into_iter().map(|path| read(root, &path)).collect()
}

fn read(root: &Path, path: &Path) -> Result<TextFile> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(TextFile { path: path.strip_prefix(root).unwrap_or(path).to_path_buf(), text })
}

fn collect(directory: &Path, target_dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let step = || format!("cannot list `{}`", directory.display());
    for entry in std::fs::read_dir(directory).with_context(step)? {
        let entry = entry.with_context(step)?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(step)?;
        let hidden = name.starts_with('.') && !OUR_HIDDEN.contains(&name.as_str());
        if kind.is_dir() && !hidden && path != target_dir && name != "target" {
            collect(&path, target_dir, found)?;
        } else if kind.is_file() && is_text(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
    // `.ci/run` has no extension.
    extension.map_or_else(|| path.ends_with(".ci/run"), |extension| TEXT.contains(&extension.as_str()))
}
