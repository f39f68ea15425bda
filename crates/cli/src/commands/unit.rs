//! `daemon unit`: the same daemon under a service manager. Prints; puts nothing in place.
//!
//! A unit must fight neither the daemon nor its clients. The daemon ends by itself with status 0 when it is displaced, told
//! to, or idle: that is no reason to start it again. A client may have started one already: that is none either, and trying
//! again would only go on for ever.

mod launchd;
mod systemd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aileron_discovery::Rule;
use aileron_server::Config;
use serde_json::json;

use crate::args::{ServiceManager, Unit};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{self, Settings};

/// What the daemon's own watchdog needs beyond the drain (1 s), and room for a busy machine.
const BEYOND_THE_DRAIN: Duration = Duration::from_secs(5);

/// One daemon, as a service.
#[derive(Debug)]
struct Service {
    /// The name of the unit, and of its file.
    name: String,
    /// The program and its arguments.
    command: Vec<String>,
    env: BTreeMap<String, String>,
    /// How long an end may take before it is forced.
    stop_within: Duration,
    /// The command that prints this unit, for a shell.
    printed_by: String,
}

/// A unit, and how it is put in place.
#[derive(Debug)]
struct Printed {
    /// Where the file belongs.
    path: String,
    text: String,
    /// For a shell, in order.
    install: [String; 2],
}

pub(crate) fn unit(settings: &Settings, args: &Unit, output: Output) -> Result<ExitStatus, Failure> {
    let config = settings::config(&settings.tool, &args.options)?;
    let service = Service::of(settings, args.manager, &config)?;
    let printed = match args.manager {
        ServiceManager::Systemd => systemd::print(&service)?,
        ServiceManager::Launchd => launchd::print(&service),
    };
    output.result(
        &json!({
            "schema": 1,
            "manager": args.manager.name(),
            "name": service.name,
            "path": printed.path,
            "text": printed.text,
            "install": printed.install,
        }),
        printed.text.trim_end(),
    );
    if !output.json {
        output.note(&format!("To put it in place:\n  {}\n  {}", printed.install[0], printed.install[1]));
    }
    Ok(ExitStatus::Done)
}

impl Service {
    fn of(settings: &Settings, manager: ServiceManager, config: &Config) -> Result<Self, Failure> {
        let tool = &settings.tool;
        let mut arguments = Vec::new();
        let mut name = tool.name().to_owned();
        // What is not the default for this user is not the default for the service manager either.
        if *settings.state_dir.rule() != Rule::Home {
            let directory = settings.state_dir.root();
            arguments = vec!["--state-dir".to_owned(), printable(directory)?];
            name = format!("{name}-{}", slug(directory));
        }
        let options = differing(config)?;
        let mut typed = vec![tool.name().to_owned()];
        typed.extend(arguments.iter().cloned());
        typed.extend(["daemon", "unit", manager.name()].map(String::from));
        typed.extend(options.iter().cloned());
        let mut command = vec![printable(&this_program()?)?];
        command.extend(arguments);
        command.extend(["daemon", "run"].map(String::from));
        command.extend(options);
        let mut env = BTreeMap::new();
        for suffix in ["LOG", "LOG_LEVEL"] {
            if let Some(level) = tool.env(suffix) {
                env.insert(tool.env_var(suffix), printable(Path::new(&level))?);
            }
        }
        let stop_within = config.drain_timeout + BEYOND_THE_DRAIN;
        let printed_by = typed.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
        Ok(Self { name, command, env, stop_within, printed_by })
    }

    /// In whole seconds, rounded up: a service manager that is early would kill in the middle of a drain.
    fn stop_within_seconds(&self) -> u64 {
        self.stop_within.as_secs() + u64::from(self.stop_within.subsec_nanos() > 0)
    }
}

/// This program, by the name in `PATH` that leads to it if there is one: an upgrade leaves that name in place, and often
/// not the file it leads to.
fn this_program() -> Result<PathBuf, Failure> {
    let gone = |why: String| {
        Failure::new("unit", ExitStatus::Failed, why)
            .step("find this program's own file")
            .hint("run the program that is installed now")
    };
    let program = std::env::current_exe().map_err(|error| gone(error.to_string()))?;
    if !program.exists() {
        return Err(gone("this program was removed or replaced since it was started".to_owned()).at(&program));
    }
    let name = program.file_name().map(PathBuf::from).unwrap_or_default();
    let leads_here = |candidate: &PathBuf| {
        candidate.is_absolute() && candidate.canonicalize().is_ok_and(|file| file == program)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(&name)).find(leads_here);
    Ok(in_path.unwrap_or(program))
}

/// The options that differ from the defaults, as arguments.
fn differing(config: &Config) -> Result<Vec<String>, Failure> {
    let grouped = |config: &Config| {
        let mut groups: Vec<Vec<String>> = Vec::new();
        for word in settings::to_arguments(config) {
            let word = printable(Path::new(&word))?;
            match groups.last_mut() {
                Some(group) if !word.starts_with("--") => group.push(word),
                _ => groups.push(vec![word]),
            }
        }
        Ok::<_, Failure>(groups)
    };
    let defaults = grouped(&Config::new())?;
    Ok(grouped(config)?.into_iter().filter(|group| !defaults.contains(group)).flatten().collect())
}

/// Both kinds of unit are UTF-8 text, and neither says what becomes of a control character.
fn printable(path: &Path) -> Result<String, Failure> {
    match path.to_str().filter(|text| !text.contains(char::is_control)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(unwritable(path, "it is not UTF-8, or has a control character")),
    }
}

fn unwritable(path: &Path, why: &str) -> Failure {
    Failure::new("unit", ExitStatus::Failed, format!("cannot write `{}` into a unit: {why}", path.display()))
        .at(path)
        .step("print the unit")
        .hint("use another path: a symlink in an ancestor will do")
}

/// A directory's name as part of a unit's.
fn slug(directory: &Path) -> String {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let slug: String = name.chars().map(letter).collect();
    let slug = slug.trim_matches('-').to_owned();
    if slug.is_empty() { "other".to_owned() } else { slug }
}

/// A word that a POSIX shell takes for itself.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._:=@,+-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_the_defaults_is_written_down() {
        let mut config = Config::new();
        assert_eq!(differing(&config).unwrap(), Vec::<String>::new());
        config.idle_timeout = Some(Duration::from_mins(10));
        config.file_events = aileron_server::FileEvents::Off;
        assert_eq!(differing(&config).unwrap(), ["--idle-timeout", "600000ms", "--no-lock-events"]);
    }

    #[test]
    fn a_directory_gives_its_unit_a_name() {
        assert_eq!(slug(Path::new("/srv/x/.work")), "work");
        assert_eq!(slug(Path::new("/srv/my work%")), "my-work");
        assert_eq!(slug(Path::new("/srv/…")), "other");
    }

    #[test]
    fn a_shell_gets_one_word() {
        assert_eq!(shell_word("/plain"), "/plain");
        assert_eq!(shell_word("it's $5"), r"'it'\''s $5'");
    }
}
