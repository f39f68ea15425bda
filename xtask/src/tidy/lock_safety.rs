//! Nothing removes or renames the lock.
//!
//! A lock file that goes from its path under a living daemon is the very failure that this project ends: the next
//! starter makes a fresh file and holds a perfectly valid lock on it. So no call that removes or renames may have an
//! argument that speaks of a lock, no such call may be hidden behind another name, and nothing removes a whole
//! directory tree. This is a net and no proof; the tests that compare inodes are the proof.

use super::source::Area;
use super::tokens::{Kind, Token, arguments, group};
use super::{Finding, Source};

const RULE: &str = "lock-safety";

/// Calls that take a name away from a file, and which of their arguments are names. For the calls of the `at` family
/// the others are directory handles, and a handle may well be reached through the held lock.
const REMOVERS: [(&str, &[usize]); 12] = [
    ("remove_file", &[0]),
    ("remove_dir", &[0]),
    ("unlink", &[0]),
    ("rename", &[0, 1]),
    ("persist", &[0]),
    ("unlinkat", &[1]),
    ("renameat", &[1, 3]),
    ("renameat_with", &[1, 3]),
    ("renameat2", &[1, 3]),
    ("DeleteFileW", &[0]),
    ("MoveFileExW", &[0, 1]),
    ("ReplaceFileW", &[0, 1]),
];
const TREE_REMOVERS: [&str; 2] = ["remove_dir_all", "remove_dir_contents"];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    if !matches!(source.area, Area::Product | Area::Sys) {
        return Vec::new();
    }
    let tokens = &source.tokens;
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let defined = at > 0 && tokens[at - 1].is_ident("fn");
        let Some(name) = token.ident().filter(|_| !defined && !source.is_test(token.line)) else { continue };
        if TREE_REMOVERS.contains(&name) {
            findings.push(source.finding(token.line, RULE, format!("`{name}` could take the lock with it")));
        }
        let Some((_, names_at)) = REMOVERS.iter().find(|(remover, _)| *remover == name) else { continue };
        if let Some(what) = offence(tokens, at, name, names_at) {
            findings.push(source.finding(token.line, RULE, what));
        }
    }
    findings
}

fn offence(tokens: &[Token], at: usize, name: &str, names_at: &[usize]) -> Option<String> {
    let next = tokens.get(at + 1)?;
    if next.is_ident("as") {
        return Some(format!("`{name}` under another name"));
    }
    if next.kind != Kind::Open(proc_macro2::Delimiter::Parenthesis) {
        return None;
    }
    let passed = arguments(group(tokens, at + 1));
    let word = names_at.iter().filter_map(|index| passed.get(*index)).find_map(|part| lock_word(part))?;
    Some(format!("`{name}` is given `{word}`, and the lock must stay where it is"))
}

/// The first word of an argument that speaks of a lock.
fn lock_word(argument: &[Token]) -> Option<&str> {
    argument.iter().find_map(|token| match &token.kind {
        Kind::Ident(word) | Kind::Literal(word) if speaks_of_a_lock(word) => Some(word.as_str()),
        _ => None,
    })
}

/// Whether one of the words in `name` is "lock" or "gate": `LOCK_NAME`, `lockPath`, `"daemon.lock"`; not `block`, `clock`.
fn speaks_of_a_lock(name: &str) -> bool {
    let mut spaced = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.push(if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { ' ' });
        before = letter;
    }
    spaced.split(' ').any(|word| matches!(word, "lock" | "lockfile" | "gate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(text: &str) -> Vec<Finding> {
        check(&Source::sample("crates/x/src/a.rs", text))
    }

    #[test]
    fn whatever_removes_or_renames_the_lock_is_found() {
        for text in [
            "fn a() { std::fs::remove_file(&self.lock_path); }",
            "fn a() { fs::remove_file(dir.join(\"daemon.lock\")); }",
            "fn a() { fs::rename(dir.lock(), other); }",
            "fn a() { fs::rename(fresh, names::LOCK_FILE); }",
            "fn a() { unlinkat(&dir, lockPath, AtFlags::empty()); }",
            "fn a() { renameat(&dir, tmp, &dir, GATE_NAME); }",
            "fn a() { check!(rustix::fs::unlink(start_lock)); }",
            "use std::fs::remove_file as forget;",
            "fn a() { std::fs::remove_dir_all(state_dir); }",
        ] {
            assert_eq!(product(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn other_files_may_go() {
        for text in [
            "fn a() { unlinkat(lock.directory(), \"daemon.json\", AtFlags::empty()); }",
            "fn a() { renameat(lock.directory(), temporary, lock.directory(), RECORD_NAME); }",
            "fn a() { fs::remove_file(block); }",
            "fn remove_file(lock: &Lock) {}",
            "#[cfg(test)]\nmod tests {\n fn a() { fs::remove_file(lock); }\n}",
        ] {
            assert!(product(text).is_empty(), "{text}");
        }
    }
}
