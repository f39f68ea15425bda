//! What is left lying about: placeholders, notes to oneself, tests that do not run, `unwrap` outside tests, and paths
//! of the machine that a file was written on.

use super::tokens::{Kind, Token};
use super::tree::TextFile;
use super::{Finding, Source};

/// Directories of somebody's machine. Split, so that this file is not its own finding.
const MACHINE_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const PLACEHOLDERS: [&str; 2] = ["todo", "unimplemented"];

/// Rules for text of any kind.
pub(super) fn check_text(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let finding = |rule, what: String| Finding { path: file.path.clone(), line: index + 1, rule, what };
        if let Some(path) = MACHINE_PATHS.iter().find(|path| names_absolute(line, path)) {
            findings.push(finding("machine-path", format!("`{path}` is a path of one machine")));
        }
        if let Some(note) = NOTES.iter().find(|note| has_word(line, note)) {
            findings.push(finding("note", format!("`{note}`: do it, or file it")));
        }
    }
    findings
}

/// Whether the path begins in this line, and is not the middle of a longer one.
fn names_absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before
            .is_none_or(|sign| !(sign.is_alphanumeric() || matches!(sign, '_' | '-' | '.' | '/' | '}' | '~')))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let around = [line[..at].chars().next_back(), line[at + word.len()..].chars().next()];
        around.into_iter().flatten().all(|sign| !sign.is_alphanumeric() && sign != '_')
    })
}

/// Rules that need to know code from comments.
pub(super) fn check_tokens(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for window in source.tokens.windows(4) {
        let [first, second, third, fourth] = window else { continue };
        let word = first.ident().unwrap_or_default();
        if PLACEHOLDERS.contains(&word) && second.is_punct('!') {
            findings.push(source.finding(first.line, "placeholder", format!("`{word}!`")));
        }
        if first.is_punct('#') && is_open(second) && third.is_ident("ignore") {
            findings.push(source.finding(
                first.line,
                "ignored-test",
                "a test that does not run proves nothing",
            ));
        }
        let unwraps = first.is_punct('.') && second.is_ident("unwrap") && is_open(third) && is_close(fourth);
        if unwraps && !source.is_test(first.line) {
            let what = "say what was expected, or handle it";
            findings.push(source.finding(second.line, "unwrap", what));
        }
    }
    findings
}

fn is_open(token: &Token) -> bool {
    matches!(token.kind, Kind::Open(_))
}

fn is_close(token: &Token) -> bool {
    matches!(token.kind, Kind::Close(_))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn text(text: &str) -> TextFile {
        TextFile { path: PathBuf::from("docs/a.md"), text: text.to_owned() }
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for path in MACHINE_PATHS {
            assert_eq!(check_text(&text(&format!("see `{path}main`"))).len(), 1, "{path}");
            assert!(check_text(&text(&format!("see /home/you{path}main"))).is_empty(), "{path}");
        }
    }

    #[test]
    fn notes_are_found_as_words() {
        for note in NOTES {
            assert_eq!(check_text(&text(&format!("// {note}: later"))).len(), 1, "{note}");
            assert!(check_text(&text(&format!("the {note}S list"))).is_empty(), "{note}");
        }
    }

    #[test]
    fn placeholders_and_ignored_tests_are_found() {
        for bad in [
            "fn a() { todo!() }",
            "fn a() { unimplemented!(\"x\") }",
            "#[test]\n#[ignore = \"slow\"]\nfn a() {}",
        ] {
            assert_eq!(check_tokens(&Source::sample("tests/src/a.rs", bad)).len(), 1, "{bad}");
        }
    }

    #[test]
    fn unwrap_is_found_outside_tests_also_in_macros() {
        for bad in ["fn a() { b().unwrap(); }", "fn a() { println!(\"{}\", b().unwrap()); }"] {
            assert_eq!(check_tokens(&Source::sample("crates/x/src/a.rs", bad)).len(), 1, "{bad}");
            assert!(check_tokens(&Source::sample("crates/x/tests/a.rs", bad)).is_empty(), "{bad}");
        }
        let good =
            "fn a() { b().unwrap_or_default(); }\n#[cfg(test)]\nmod tests { fn a() { b().unwrap(); } }";
        assert!(check_tokens(&Source::sample("crates/x/src/a.rs", good)).is_empty());
    }
}
