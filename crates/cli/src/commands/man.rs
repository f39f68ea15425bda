//! `man`: the manual, made from the command line's own description. One page for everything, or one for one command.

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use serde_json::json;

use crate::args::Args;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;

/// Variables that no option stands for, and what they do.
const VARIABLES: [(&str, &str); 9] = [
    ("AILERON_API_URL", "Use the daemon at this address, and look for no other. `start` and `stop` refuse."),
    ("AILERON_NO_AUTOSTART", "1: `url` starts no daemon. `daemon start` does all the same."),
    ("AILERON_LOG", "What a daemon logs: error, warn, info, debug or trace, or TARGET=LEVEL pairs."),
    ("AILERON_LOG_LEVEL", "The same, where AILERON_LOG is not set."),
    ("HOME", "The state directory is below it by default."),
    ("NO_COLOR", "Anything but empty: no colour."),
    ("NOTIFY_SOCKET", "Where `daemon run` tells a service manager that it is ready, and that it stops."),
    ("WATCHDOG_USEC", "Within how many microseconds that wants to hear that the daemon is alive."),
    ("WATCHDOG_PID", "Which process is meant by that."),
];

/// Prints the page of the command with these words; of `aileron` itself for none.
pub(crate) fn man(words: &[String], output: Output) -> Result<ExitStatus, Failure> {
    let mut command = Args::command();
    command.build();
    for word in words {
        let found = command.find_subcommand(word).filter(|found| !found.is_hide_set()).cloned();
        command =
            found.ok_or_else(|| Failure::usage(format!("there is no command `{}`", words.join(" "))))?;
    }
    let name = command.get_display_name().unwrap_or("aileron").to_owned();
    let page = page(&command, words.is_empty()).map_err(|error| {
        Failure::new("man", ExitStatus::Failed, format!("cannot write the page: {error}"))
    })?;
    output.result(&json!({ "schema": 1, "name": name, "text": page }), page.trim_end());
    Ok(ExitStatus::Done)
}

fn page(command: &Command, is_whole: bool) -> std::io::Result<String> {
    let mut out = Vec::new();
    let man = Man::new(command.clone()).manual("aileron").date("");
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    if is_whole {
        let mut description = Roff::new();
        description.control("SH", ["DESCRIPTION"]).text([roman(
            "One background daemon per user and state directory. The first client that needs it starts it, every later one \
             finds it, and it ends by itself as soon as it is no longer the daemon of that directory.",
        )]);
        description.to_writer(&mut out)?;
    } else {
        man.render_description_section(&mut out)?;
    }
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        commands(command).to_writer(&mut out)?;
    }
    examples(command).to_writer(&mut out)?;
    if is_whole {
        environment(command).to_writer(&mut out)?;
    }
    exit_statuses().to_writer(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Every command below this one, with its own options.
fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for leaf in leaves(command) {
        let name = leaf.get_bin_name().unwrap_or_default().to_owned();
        let positional: Vec<String> = leaf.get_positionals().map(ToString::to_string).collect();
        let mut title = vec![bold(name)];
        title.extend(positional.iter().flat_map(|name| [roman(" "), italic(name.as_str())]));
        roff.control("TP", []).text(title).text([roman(about(leaf))]);
        let own: Vec<&Arg> = leaf
            .get_opts()
            .chain(flags(leaf))
            .filter(|arg| !arg.is_global_set() && !arg.is_hide_set())
            .collect();
        if !own.is_empty() {
            roff.control("RS", []);
            for arg in own {
                roff.control("TP", []).text(signature(arg)).text([roman(help(arg))]);
            }
            roff.control("RE", []);
        }
    }
    roff
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        !arg.is_positional() && !arg.get_action().takes_values() && !matches!(arg.get_id().as_str(), "help")
    })
}

fn leaves(command: &Command) -> Vec<&Command> {
    let visible = command.get_subcommands().filter(|below| !below.is_hide_set());
    visible.flat_map(|below| if below.has_subcommands() { leaves(below) } else { vec![below] }).collect()
}

fn signature(arg: &Arg) -> Vec<Inline> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names = [short, long].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut text = vec![bold(names)];
    if arg.get_action().takes_values() {
        let values = arg.get_value_names().unwrap_or_default();
        text.extend(values.iter().flat_map(|value| [roman(" "), italic(value.as_str())]));
    }
    text
}

fn about(command: &Command) -> String {
    command.get_about().map(|about| format!("{about}.")).unwrap_or_default()
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

/// What stands under the help as an example, of this command and of those below.
fn examples(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    let below = leaves(command);
    let all = if below.is_empty() { vec![command] } else { below };
    for command in all {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in text.lines().filter(|line| line.starts_with("  ")) {
            roff.text([roman(line.trim_start())]);
        }
    }
    roff.control("fi", []);
    roff
}

fn environment(command: &Command) -> Roff {
    let mut variables: Vec<(String, String)> =
        VARIABLES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    for command in leaves(command) {
        for arg in command.get_arguments() {
            let (help, long) = (help(arg), arg.get_long().unwrap_or_default());
            if let Some((name, _)) = help
                .split_once("[AILERON_")
                .and_then(|(_, rest)| rest.split_once(|c: char| !c.is_ascii_uppercase() && c != '_'))
            {
                variables.push((format!("AILERON_{name}"), format!("Counts where --{long} is not given.")));
            }
        }
    }
    variables.sort();
    variables.dedup();
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, text) in variables {
        roff.control("TP", []).text([bold(name)]).text([roman(text)]);
    }
    roff
}

fn exit_statuses() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for status in ExitStatus::ALL {
        roff.control("TP", []).text([bold(status.code().to_string())]).text([roman(status.meaning())]);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> String {
        let mut command = Args::command();
        command.build();
        page(&command, true).unwrap()
    }

    /// Each command, each option of it and each variable that a help text names is in the one page.
    #[test]
    fn the_page_lacks_nothing_that_can_be_typed() {
        // What roff escapes, as it was.
        let page = whole().replace("\\-", "-");
        let mut command = Args::command();
        command.build();
        for leaf in leaves(&command) {
            assert!(page.contains(leaf.get_bin_name().unwrap()), "{}", leaf.get_name());
            for arg in leaf.get_arguments().filter(|arg| !arg.is_hide_set()) {
                if let Some(long) = arg.get_long() {
                    assert!(page.contains(&format!("--{long}")), "{}: --{long}", leaf.get_name());
                }
                let help = help(arg);
                for word in help.split(|c: char| !c.is_ascii_uppercase() && c != '_') {
                    assert!(
                        !word.starts_with("AILERON_") || page.contains(&format!("\\fB{word}\\fR")),
                        "{word}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_hidden_entry_has_no_page() {
        let mut command = Args::command();
        command.build();
        let daemon = command.find_subcommand("daemon").unwrap();
        for page in [whole(), page(daemon, false).unwrap()] {
            let page = page.replace("\\-", "-");
            assert!(!page.contains("launch-fd") && !page.contains("serve "), "{page}");
        }
    }

    /// `docs/environment.md` has each variable of the manual, and no other.
    #[test]
    fn the_page_of_the_variables_has_all_of_them() {
        let page = whole().replace("\\-", "-");
        let (_, section) = page.split_once(".SH ENVIRONMENT").unwrap();
        let (section, _) = section.split_once(".SH").unwrap();
        let mut of_manual: Vec<_> =
            section.lines().filter_map(|line| line.strip_prefix("\\fB")?.strip_suffix("\\fR")).collect();
        let table = include_str!("../../../../docs/environment.md");
        let mut of_page: Vec<_> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
            .collect();
        of_manual.sort_unstable();
        of_page.sort_unstable();
        assert_eq!(of_page, of_manual);
    }
}
