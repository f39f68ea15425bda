//! The tool a daemon belongs to: its name, and every name derived from it.

/// What distinguishes one tool's daemon from another's: product name, version, directory, environment prefix, file names.
///
/// Two tools never meet: `aileron` lives in `~/.aileron` and reads `AILERON_STATE_DIR`, `tally` lives in `~/.tally` and
/// reads `TALLY_STATE_DIR`, from the same code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    name: String,
    version: String,
    env_prefix: String,
    dir_name: String,
    stem: String,
    daemon_args: Vec<Vec<String>>,
}

/// The files of a state directory (see `docs/state-dir.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFile {
    /// `daemon.lock`: whoever holds it, at this path, is the daemon. Never removed.
    Lock,
    /// `start.lock`: held by a client while it launches a daemon. Never removed.
    Gate,
    /// `daemon.json`: where the daemon is.
    Record,
    /// `daemon.pid`: its pid, for people.
    Pid,
    /// `daemon.log`: what it said.
    Log,
    /// `daemon.log.1`: what it said before that.
    OldLog,
    /// `daemon.exit.json`: why the last one ended.
    Exit,
    /// `hold`: clients start nothing while it exists.
    Hold,
}

impl Tool {
    /// A tool that keeps its state in `$HOME/.NAME` and reads variables that begin with `NAME_`.
    ///
    /// `name` is lower-case ASCII, as one types it; `version` is a semantic version (<https://semver.org>).
    pub fn new(name: &str, version: &str) -> Self {
        let serve = ["daemon", "serve"].map(String::from).to_vec();
        let run = ["daemon", "run"].map(String::from).to_vec();
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            env_prefix: name.to_uppercase().replace('-', "_"),
            dir_name: format!(".{name}"),
            stem: "daemon".to_owned(),
            daemon_args: vec![serve, run],
        }
    }

    /// The same tool with its state in `$HOME/DIR_NAME` by default.
    #[must_use]
    pub fn with_dir_name(mut self, dir_name: &str) -> Self {
        dir_name.clone_into(&mut self.dir_name);
        self
    }

    /// The same tool with variables that begin with `PREFIX_`.
    #[must_use]
    pub fn with_env_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.env_prefix);
        self
    }

    /// The same tool with files named `STEM.lock`, `STEM.json` and so on.
    #[must_use]
    pub fn with_file_stem(mut self, stem: &str) -> Self {
        stem.clone_into(&mut self.stem);
        self
    }

    /// The same tool, its daemon processes known by any of these argument sequences (default: `daemon serve`, `daemon run`).
    #[must_use]
    pub fn with_daemon_args(mut self, sequences: &[&[&str]]) -> Self {
        self.daemon_args =
            sequences.iter().map(|words| words.iter().map(ToString::to_string).collect()).collect();
        self
    }

    /// The product name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of this build.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name of the default directory below `$HOME`.
    pub fn dir_name(&self) -> &str {
        &self.dir_name
    }

    /// The full name of one of the tool's environment variables: `env_var("STATE_DIR")` is `AILERON_STATE_DIR`.
    pub fn env_var(&self, suffix: &str) -> String {
        [&self.env_prefix, "_", suffix].concat()
    }

    /// The value of one of the tool's environment variables. An empty one counts as unset.
    pub fn env(&self, suffix: &str) -> Option<std::ffi::OsString> {
        std::env::var_os(self.env_var(suffix)).filter(|value| !value.is_empty())
    }

    /// The name of a file in the state directory.
    pub fn file_name(&self, file: StateFile) -> String {
        let named = |extension: &str| [&self.stem, extension].concat();
        match file {
            StateFile::Lock => named(".lock"),
            StateFile::Gate => "start.lock".to_owned(),
            StateFile::Record => named(".json"),
            StateFile::Pid => named(".pid"),
            StateFile::Log => named(".log"),
            StateFile::OldLog => named(".log.1"),
            StateFile::Exit => named(".exit.json"),
            StateFile::Hold => "hold".to_owned(),
        }
    }

    /// The name that a file has while it is written, before it is renamed over the old one.
    pub(crate) fn temporary_name(&self, file: StateFile) -> String {
        format!(".{}.new", self.file_name(file))
    }

    /// Whether these arguments (without the program) are those of this tool's daemon.
    pub fn is_daemon_command(&self, args: &[String]) -> bool {
        self.daemon_args
            .iter()
            .any(|words| args.windows(words.len()).any(|window| window == words.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sibling_tool_shares_no_name() {
        let tally = Tool::new("tally-up", "1.0.0");
        assert_eq!(tally.dir_name(), ".tally-up");
        assert_eq!(tally.env_var("STATE_DIR"), "TALLY_UP_STATE_DIR");
        assert_eq!(tally.file_name(StateFile::Lock), "daemon.lock");
    }

    #[test]
    fn a_daemon_is_known_by_its_arguments_in_sequence() {
        let tool = Tool::new("aileron", "1.0.0");
        let args = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        assert!(tool.is_daemon_command(&args("--state-dir /x daemon run --bind 127.0.0.1:0")));
        assert!(!tool.is_daemon_command(&args("run daemon")));
        assert!(!tool.is_daemon_command(&args("daemon stop")));
    }
}
