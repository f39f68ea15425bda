//! The page of the design notes: what is searched, what it found, and for each rule what happens without it.

use std::fmt::Write as _;

use crate::cases::{LARGE, OPEN, SMALL, Space, TO_THE_LETTER, shown_in};
use crate::rules::{RULES, Rules};
use crate::search::search;
use crate::trace;
use crate::world::{Begin, Commands, Config, Promise, World};

const BEFORE: &str = include_str!("page/before.md");
const AFTER: &str = include_str!("page/after.md");

/// The whole page. Runs every switch, and none of the spaces: their figures are kept.
///
/// # Errors
///
/// When a switch has no counterexample where it should have one, or the other way round.
pub fn page() -> Result<String, String> {
    let mut text = BEFORE.to_owned();
    spaces(&mut text);
    let mut examples = String::new();
    rules(&mut text, &mut examples)?;
    letter(&mut text)?;
    text += "## What happens without a rule\n\nThe shortest way to a violation, one step a line. `D` is a daemon, `C` a client, `–` \
             somebody else.\n";
    text += &examples;
    text += AFTER;
    Ok(text)
}

/// A configuration in words.
pub fn config(config: &Config) -> String {
    let Config { begin, clients, rounds, commands, steps, removals, kills, stops } = *config;
    let begin = match begin {
        Begin::Empty => "nothing there",
        Begin::Serving => "a daemon serves",
    };
    let commands = match commands {
        Commands::Url => "`url`",
        Commands::UrlStop => "`url` or `stop`",
        Commands::UrlTerm => "`url` or a `SIGTERM`",
        Commands::UrlHold => "`url` or `stop --hold`",
        Commands::All => "`url`, `stop` or `stop --hold`",
    };
    let mut text = format!("{begin}; {}", count(clients, "client"));
    if rounds > 1 {
        add(&mut text, format_args!(", {rounds} commands each"));
    }
    add(&mut text, format_args!(": {commands}"));
    if steps > 0 {
        add(&mut text, format_args!("; {} of the adversary", count(usize::from(steps), "step")));
        match removals.min(steps) {
            0 => {}
            all if all == steps => text += ", `rm -rf` among them",
            some => add(&mut text, format_args!(", {some} may be an `rm -rf`")),
        }
    }
    if kills > 0 {
        add(&mut text, format_args!("; {}", count(usize::from(kills), "kill")));
    }
    if stops > 0 {
        add(&mut text, format_args!("; {}", count(usize::from(stops), "`SIGSTOP`")));
    }
    text
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn spaces(text: &mut String) {
    *text += "## What was searched\n\nWith all rules in force, to the end, without a violation. No launch ever found all slots taken.\n\
              Seconds are those of one core of a machine that was busy with other things. `cargo xtask model explore NAME` runs one.\n\n\
              | name | space | states | steps | depth | seconds |\n|---|---|--:|--:|--:|--:|\n";
    for Space { name, config: what, kept } in SMALL.iter().chain(&LARGE) {
        let (states, transitions) = (grouped(kept.states as u64), grouped(kept.transitions));
        line(
            text,
            &format!(
                "| {name} | {} | {states} | {transitions} | {} | {} |",
                config(what),
                kept.depth,
                kept.seconds
            ),
        );
    }
    let Space { name, config: what, kept } = OPEN;
    let (what, states) = (config(&what), grouped(kept.states as u64));
    let (depth, seconds) = (kept.depth, kept.seconds);
    line(
        text,
        &format!(
            "\n`{name}` ({what}) was begun and given up: all {states} states within {depth} steps were seen, in {seconds} s, and no \
             step broke a property. Whether everything comes to rest is known of whole spaces only."
        ),
    );
    *text += "\n";
}

fn rules(text: &mut String, examples: &mut String) -> Result<(), String> {
    *text += "## What each rule is for\n\n| switch | rule | without it | in steps |\n|---|---|---|--:|\n";
    for rule in RULES {
        let (name, says) = (rule.name(), rule.says());
        let shown = shown_in(rule).ok_or_else(|| format!("nobody knows what `{name}` is for"))?;
        let world = World { rules: Rules::ALL.without(rule), config: shown, promise: Promise::Kept };
        let found = search(&world, usize::MAX, |_| ()).violation;
        let (property, way) = found.ok_or_else(|| format!("without `{name}` nothing breaks any more"))?;
        line(text, &format!("| [`{name}`](#{name}) | {says} | {} | {} |", property.says(), way.len() - 1));
        let told = trace::tell(&world, property, &way);
        line(
            examples,
            &format!("\n### {name}\n\n{says} Without it ({}):\n\n```text\n{told}```", config(&shown)),
        );
    }
    *text += "\n";
    Ok(())
}

const LETTER: [&str; 2] = [
    "P4 says that the survivor's record keeps inode and bytes. Where the *former* owner comes back, its lock having had another name \
     for a moment, between a successor's question and its rename, the successor replaces the record of who is the owner by then. No \
     check closes the gap between a check and an act. What holds, and is searched for above, is that nobody takes away what an owner \
     published *after* the other had asked; and the owner that came back restores its record.",
    "P13 says that nothing is running when `stop` returns. A client that is killed between launching a daemon and hearing of it \
     leaves the gate free and a process that has no lock yet. `stop --hold` in this moment finds nobody, and the daemon comes up \
     after it. The start gate is the clients'; a daemon that inherited it would keep it for ever. The next `stop` finds the daemon.",
];

fn letter(text: &mut String) -> Result<(), String> {
    *text += "## What no rule can give\n\nTwo promises hold as above, and not to the letter.\n";
    for (what, says) in TO_THE_LETTER.iter().zip(LETTER) {
        let world = World { rules: Rules::ALL, config: *what, promise: Promise::Literal };
        let found = search(&world, usize::MAX, |_| ()).violation;
        let (property, way) = found.ok_or("a promise holds to the letter now: say so")?;
        let told = trace::tell(&world, property, &way);
        line(text, &format!("\n{says}\n\n```text\n{told}```"));
    }
    *text += "\n";
    Ok(())
}

fn line(text: &mut String, line: &str) {
    add(text, format_args!("{line}\n"));
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes everything");
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
