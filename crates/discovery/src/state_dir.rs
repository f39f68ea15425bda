//! The state directory: resolved once, created private, refused when it is not safe to use.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::sys::{self, DirHandle};
use crate::tool::{StateFile, Tool};

/// The directory in which everything about one daemon lives, as an absolute path whose ancestors were resolved once.
///
/// Having one gives the right to read. Nothing is created by resolving.
#[derive(Clone, Debug)]
pub struct StateDir {
    tool: Tool,
    path: PathBuf,
    rule: Rule,
}

/// Which rule chose the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An argument (`--state-dir`).
    Argument,
    /// The named environment variable.
    Variable(String),
    /// The default below `$HOME`.
    Home,
}

impl Rule {
    /// The rule as `status` names it.
    pub fn name(&self) -> &str {
        match self {
            Self::Argument => "--state-dir",
            Self::Variable(name) => name,
            Self::Home => "HOME",
        }
    }
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// Neither an argument nor a variable names the directory, and `HOME` is unset or empty.
    #[error("cannot choose a state directory: HOME is not set (set it, or set {variable})")]
    NoHome {
        /// The variable that would name it.
        variable: String,
    },
    /// The path has no last component that could be a directory name (`/`, or one that ends in `..`).
    #[error("cannot use `{path}` as a state directory: it names no directory of its own")]
    NotAName {
        /// The path as given.
        path: PathBuf,
    },
    /// Nothing is there.
    #[error("the state directory `{path}` does not exist")]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The path is a symlink.
    #[error("the state directory `{path}` is a symlink; name the directory it points to instead")]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// The path is something else than a directory.
    #[error("the state directory `{path}` is not a directory; move it away or choose another path")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Somebody else owns it.
    #[error(
        "the state directory `{path}` belongs to uid {owner}, not to uid {user}; run as its owner or choose another path"
    )]
    ForeignOwner {
        /// The path.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who asks (effective uid).
        user: u32,
    },
    /// Others may write to it.
    #[error("the state directory `{path}` is writable by others (mode {mode:04o}); run `chmod 700` on it")]
    WritableByOthers {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Open to others, and full of other things: somebody's home, `/tmp`, a project. Its mode is not changed.
    #[error("`{path}` is open to others (mode {mode:04o}) and has other things in it than a daemon's")]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A system call failed.
    #[error("cannot {step} `{path}`")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StateDirError {
    /// Whether it only says that nothing is there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// The path it is about, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::NoHome { .. } => None,
            Self::NotAName { path }
            | Self::Missing { path }
            | Self::Symlink { path }
            | Self::NotADirectory { path }
            | Self::ForeignOwner { path, .. }
            | Self::WritableByOthers { path, .. }
            | Self::NotOurs { path, .. }
            | Self::Io { path, .. } => Some(path),
        }
    }
}

impl StateDir {
    /// Chooses the directory of `tool` (argument, then `PREFIX_STATE_DIR`, then `$HOME/.NAME`) and resolves it: absolute,
    /// symlinks in its ancestors followed, its own last component left as it is. Creates nothing.
    ///
    /// # Errors
    ///
    /// When no rule applies, or an ancestor that exists cannot be resolved.
    pub fn resolve(tool: &Tool, argument: Option<&Path>) -> Result<Self, StateDirError> {
        let (path, rule) = choose(tool, argument)?;
        Ok(Self { tool: tool.clone(), path: absolute(&path)?, rule })
    }

    /// The absolute path of the directory.
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// The absolute path of one of its files.
    pub fn path(&self, file: StateFile) -> PathBuf {
        self.path.join(self.tool.file_name(file))
    }

    /// Whose daemon lives here.
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// Which rule chose it.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Checks that the directory, if it exists, may be used. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StateDirError::Missing`] when nothing is there; else why it is refused.
    pub fn check(&self) -> Result<(), StateDirError> {
        self.open().map(drop)
    }

    /// Creates the directory and missing ancestors with mode 0700; tightens one that others may read, and then returns the
    /// permission bits it had, for the caller to say so.
    ///
    /// Only those who may start a daemon call this: a client inside `ensure_running`, and `daemon run`.
    ///
    /// # Errors
    ///
    /// Why it cannot be created or used. A directory removed between being made and being opened is made again, twice.
    pub fn create(&self) -> Result<Option<u32>, StateDirError> {
        let mut tries = 0;
        loop {
            self.make()?;
            match self.open() {
                Ok(handle) => return self.tighten(&handle),
                Err(error) if error.is_missing() && tries < 2 => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens one of its files to read: a regular file only, no symlink followed, no blocking on a FIFO.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such file or directory; else why it cannot be read.
    pub fn open_file(&self, file: StateFile) -> io::Result<std::fs::File> {
        let name = self.tool.file_name(file);
        let dir = DirHandle::open(&self.path)?;
        let odd = |error| dir.odd_kind(&name).map_or(error, |kind| io::Error::other(format!("it is {kind}")));
        let opened = dir.open_file(&name, sys::How::Read).map_err(odd)?;
        if sys::held_facts(&opened)?.regular {
            Ok(opened)
        } else {
            Err(odd(io::Error::other("it is no file")))
        }
    }

    pub(crate) fn open(&self) -> Result<DirHandle, StateDirError> {
        let path = || self.path.clone();
        let handle = DirHandle::open(&self.path).map_err(|source| self.explain(source))?;
        let facts = handle.facts().map_err(|source| self.io("look at the state directory", source))?;
        if !facts.is_dir {
            return Err(StateDirError::NotADirectory { path: path() });
        }
        if facts.owner != facts.user {
            return Err(StateDirError::ForeignOwner { path: path(), owner: facts.owner, user: facts.user });
        }
        if facts.mode & 0o022 != 0 {
            return Err(StateDirError::WritableByOthers { path: path(), mode: facts.mode });
        }
        Ok(handle)
    }

    fn make(&self) -> Result<(), StateDirError> {
        match sys::make_private_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.io("create the state directory", error))
            }
            _ => Ok(()),
        }
    }

    /// A restore by `cp -r` leaves a directory that others may read. Nothing secret was in their reach for long, and
    /// refusing would leave the user with a directory nobody but them can mend, so the starter mends it and says so.
    fn tighten(&self, handle: &DirHandle) -> Result<Option<u32>, StateDirError> {
        let mode = handle.facts().map_err(|source| self.io("look at the state directory", source))?.mode;
        let readable_by_others = mode & 0o077;
        if readable_by_others == 0 {
            return Ok(None);
        }
        if !self.is_for_a_daemon(handle)? {
            return Err(StateDirError::NotOurs { path: self.path.clone(), mode });
        }
        handle.make_private().map_err(|source| self.io("tighten the mode of the state directory", source))?;
        Ok(Some(mode))
    }

    /// Whether it has been a state directory, or nothing yet.
    fn is_for_a_daemon(&self, handle: &DirHandle) -> Result<bool, StateDirError> {
        let failed = |source| self.io("look into the state directory", source);
        for file in [StateFile::Lock, StateFile::Gate, StateFile::Record, StateFile::Hold] {
            if handle.exists(&self.tool.file_name(file)).map_err(failed)? {
                return Ok(true);
            }
        }
        Ok(std::fs::read_dir(&self.path).map_err(failed)?.next().is_none())
    }

    /// `O_NOFOLLOW | O_DIRECTORY` says `ENOTDIR` for a symlink on Linux and `ELOOP` elsewhere, and `ENOTDIR` for an
    /// ancestor that is a file too: only a look at the path itself tells them apart.
    fn explain(&self, source: io::Error) -> StateDirError {
        let path = self.path.clone();
        // What was seen then counts, not what has come since: another client may have made the directory meanwhile.
        if source.kind() == io::ErrorKind::NotFound {
            return StateDirError::Missing { path };
        }
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_symlink() => StateDirError::Symlink { path },
            Ok(found) if !found.is_dir() => StateDirError::NotADirectory { path },
            Err(error) if error.kind() == io::ErrorKind::NotFound => StateDirError::Missing { path },
            _ => self.io("open the state directory", source),
        }
    }

    fn io(&self, step: &'static str, source: io::Error) -> StateDirError {
        StateDirError::Io { step, path: self.path.clone(), source }
    }
}

fn choose(tool: &Tool, argument: Option<&Path>) -> Result<(PathBuf, Rule), StateDirError> {
    if let Some(path) = argument.filter(|path| !path.as_os_str().is_empty()) {
        return Ok((path.to_owned(), Rule::Argument));
    }
    if let Some(path) = tool.env("STATE_DIR") {
        return Ok((path.into(), Rule::Variable(tool.env_var("STATE_DIR"))));
    }
    let home =
        sys::home_dir().ok_or_else(|| StateDirError::NoHome { variable: tool.env_var("STATE_DIR") })?;
    Ok((home.join(tool.dir_name()), Rule::Home))
}

/// Resolves the deepest ancestor that exists and appends the rest by name.
fn absolute(given: &Path) -> Result<PathBuf, StateDirError> {
    let io = |step, path: &Path, source| StateDirError::Io { step, path: path.to_owned(), source };
    let full = std::path::absolute(given).map_err(|source| io("make absolute", given, source))?;
    // `components` drops a trailing slash and `.`, which would have the kernel follow a symlink in the last component.
    let full: PathBuf = full.components().collect();
    let (Some(parent), Some(Component::Normal(name))) = (full.parent(), full.components().next_back()) else {
        return Err(StateDirError::NotAName { path: given.to_owned() });
    };
    let mut rest: Vec<&OsStr> = vec![name];
    let mut ancestor = parent;
    loop {
        match std::fs::canonicalize(ancestor) {
            Ok(mut resolved) => {
                resolved.extend(rest.iter().rev());
                return Ok(resolved);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(parent), Some(name)) = (ancestor.parent(), ancestor.file_name()) else {
                    return Err(StateDirError::NotAName { path: given.to_owned() });
                };
                rest.push(name);
                ancestor = parent;
            }
            Err(error) => return Err(io("resolve", ancestor, error)),
        }
    }
}

/// Has every file that this process makes from now on be its user's alone, whatever umask it was started with (077, `umask(2)`).
/// For the `main` of a program; a library changes no umask of its program's.
///
/// # Platform notes
///
/// Does nothing on Windows.
pub fn make_files_private() {
    sys::make_files_private();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_at(path: &Path) -> StateDir {
        StateDir::resolve(&Tool::new("aileron", "0.0.0"), Some(path)).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn two_spellings_are_one_directory() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(dir_at(&link.join("state/")).root(), real.join("state"));
        assert_eq!(dir_at(&real.join("./state")).root(), real.join("state"));
        assert_eq!(dir_at(&real.join("a/b")).root(), real.join("a/b"), "missing ancestors keep their names");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_is_made_private_and_a_readable_one_is_tightened() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let dir = dir_at(&temp.path().join("new/state"));
        assert!(dir.check().unwrap_err().is_missing());
        assert_eq!(dir.create().unwrap(), None);
        let mode = || std::fs::metadata(dir.root()).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o700);
        std::fs::set_permissions(dir.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(dir.create().unwrap(), Some(0o755));
        assert_eq!(mode(), 0o700);
        std::fs::set_permissions(dir.root(), std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(dir.create(), Err(StateDirError::WritableByOthers { mode: 0o770, .. })));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_directory_is_refused_by_name() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        std::fs::write(&file, "keep").unwrap();
        assert!(matches!(dir_at(&file).create(), Err(StateDirError::NotADirectory { .. })));
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path(), &link).unwrap();
        assert!(matches!(dir_at(&link).create(), Err(StateDirError::Symlink { .. })));
        let long = temp.path().join("x".repeat(300));
        assert!(matches!(
            dir_at(&long).create(),
            Err(StateDirError::Io { step: "create the state directory", .. })
        ));
        assert_eq!(std::fs::read(&file).unwrap(), b"keep");
        let tool = Tool::new("aileron", "0.0.0");
        assert!(matches!(
            StateDir::resolve(&tool, Some(Path::new("/"))),
            Err(StateDirError::NotAName { .. })
        ));
    }
}
