//! The corpus of a target: the files of `corpus/NAME/`.

use std::io;
use std::path::{Path, PathBuf};

/// Inputs to begin with, and those that a run found worth keeping.
#[derive(Clone, Debug)]
pub struct Corpus {
    inputs: Vec<Vec<u8>>,
    /// How many of them were there at the beginning.
    kept: usize,
}

/// Why there is no corpus.
#[derive(Debug)]
pub enum CorpusError {
    /// The directory or a file in it cannot be read.
    Io(PathBuf, io::Error),
    /// There is no input in it.
    Empty(PathBuf),
}

impl std::fmt::Display for CorpusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot read `{}`: {error}", path.display()),
            Self::Empty(path) => write!(f, "there is no input in `{}`", path.display()),
        }
    }
}

impl std::error::Error for CorpusError {}

impl Corpus {
    /// The kept inputs of a target.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or there is none.
    pub fn of(target: &str) -> Result<Self, CorpusError> {
        Self::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target))
    }

    fn read(directory: &Path) -> Result<Self, CorpusError> {
        let failed = |error| CorpusError::Io(directory.to_owned(), error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        // The order of a directory is the file system's; that of a run follows from the seed alone.
        paths.sort();
        let read = |path: PathBuf| std::fs::read(&path).map_err(|error| CorpusError::Io(path, error));
        let inputs: Vec<_> = paths.into_iter().map(read).collect::<Result<_, _>>()?;
        if inputs.is_empty() {
            Err(CorpusError::Empty(directory.to_owned()))
        } else {
            Ok(Self { kept: inputs.len(), inputs })
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> &[Vec<u8>] {
        &self.inputs
    }

    pub(crate) fn add(&mut self, input: &[u8]) {
        self.inputs.push(input.to_owned());
    }

    /// Every other time one of those that were there at the beginning: most that is found on the way is refused early.
    pub(crate) fn any(&self, random: &mut fastrand::Rng) -> &[u8] {
        let count = if random.bool() { self.kept } else { self.inputs.len() };
        &self.inputs[random.usize(..count)]
    }
}
