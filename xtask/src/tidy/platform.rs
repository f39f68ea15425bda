//! Platform code stands behind one door per crate, its `sys` module: no other file asks which system it is on, imports
//! from `std::os`, or is `unsafe`.
//!
//! Otherwise a port is a hunt through the tree, and a system that nobody thought of compiles to nothing. Tests,
//! examples and this program may ask for the system; `unsafe` they may not either.

use super::source::Area;
use super::tokens::{Kind, Token, group};
use super::{Finding, Source};

/// Words of a `cfg` that name a system.
const SYSTEM_WORDS: [&str; 6] =
    ["unix", "windows", "target_os", "target_family", "target_env", "target_vendor"];

fn exempt(source: &Source, line: usize) -> bool {
    source.area != Area::Product || source.is_test(line)
}

/// `#[cfg(…)]`, `#[cfg_attr(…)]` and `cfg!(…)` that name a system.
pub(super) fn check_cfg(source: &Source) -> Vec<Finding> {
    let tokens = &source.tokens;
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !(token.is_ident("cfg") || token.is_ident("cfg_attr")) || exempt(source, token.line) {
            continue;
        }
        let opens = [at + 1, at + 2].into_iter().find(|next| is_open(tokens.get(*next)));
        let words = opens.map_or(&[][..], |open| group(tokens, open));
        let named = words.iter().filter_map(Token::ident).find(|word| SYSTEM_WORDS.contains(word));
        if let Some(word) = named {
            let what = format!("`{word}` outside the crate's `sys` module");
            findings.push(source.finding(token.line, "platform-cfg", what));
        }
    }
    findings
}

fn is_open(token: Option<&Token>) -> bool {
    token.is_some_and(|token| matches!(token.kind, Kind::Open(_)))
}

/// `std::os::…`, also as `std::{os::…}`.
pub(super) fn check_std_os(source: &Source) -> Vec<Finding> {
    let tokens = &source.tokens;
    let starts = (0..tokens.len()).filter(|at| {
        tokens[*at].is_ident("std")
            && tokens.get(at + 1).is_some_and(|token| token.is_punct(':'))
            && tokens.get(at + 2).is_some_and(|token| token.is_punct(':'))
            && names_os(tokens, at + 3)
    });
    let lines = starts.map(|at| tokens[at].line).filter(|line| !exempt(source, *line));
    lines.map(|line| source.finding(line, "std-os", "`std::os` outside the crate's `sys` module")).collect()
}

fn names_os(tokens: &[Token], at: usize) -> bool {
    if !is_open(tokens.get(at)) {
        return tokens.get(at).is_some_and(|token| token.is_ident("os"));
    }
    super::tokens::arguments(group(tokens, at))
        .iter()
        .any(|part| part.first().is_some_and(|token| token.is_ident("os")))
}

/// `unsafe` anywhere but in `sys`, tests included.
pub(super) fn check_unsafe(source: &Source) -> Vec<Finding> {
    if source.area == Area::Sys {
        return Vec::new();
    }
    let lines = source.tokens.iter().filter(|token| token.is_ident("unsafe")).map(|token| token.line);
    lines.map(|line| source.finding(line, "unsafe", "outside the crate's `sys` module")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(text: &str) -> Source {
        Source::sample("crates/x/src/a.rs", text)
    }

    #[test]
    fn a_cfg_that_names_a_system_is_found() {
        for text in [
            "#[cfg(unix)]\nfn a() {}",
            "#[cfg(all(feature = \"x\", not(windows)))]\nfn a() {}",
            "#[cfg_attr(target_os = \"linux\", path = \"linux.rs\")]\nmod a;",
            "fn a() -> bool { cfg!(target_family = \"unix\") }",
            "fn a() { assert!(cfg!(target_env = \"musl\")); }",
        ] {
            assert_eq!(check_cfg(&product(text)).len(), 1, "{text}");
        }
        for text in
            ["#[cfg(feature = \"x\")]\nfn a() {}", "#[cfg(test)]\nmod t {\n#[cfg(unix)]\nfn a() {}\n}"]
        {
            assert!(check_cfg(&product(text)).is_empty(), "{text}");
        }
        assert!(check_cfg(&Source::sample("crates/x/src/sys.rs", "#[cfg(unix)]\nmod unix;")).is_empty());
    }

    #[test]
    fn std_os_is_found_however_it_is_written() {
        for text in [
            "use std::os::unix::fs::MetadataExt;",
            "use std::{fs, os::fd::AsFd};",
            "fn a() { let _ = std::os::fd::AsFd::as_fd; }",
            "fn a() { println!(\"{:?}\", std::os::unix::process::parent_id()); }",
        ] {
            assert_eq!(check_std_os(&product(text)).len(), 1, "{text}");
        }
        assert!(check_std_os(&product("use std::{ffi::OsString, io};")).is_empty());
        assert!(check_std_os(&Source::sample("tests/src/lib.rs", "use std::os::fd::AsFd;")).is_empty());
    }

    #[test]
    fn unsafe_code_is_found_even_in_tests() {
        let text = "fn a() { unsafe { b() } }";
        assert_eq!(check_unsafe(&product(text)).len(), 1);
        assert_eq!(check_unsafe(&Source::sample("crates/x/tests/a.rs", text)).len(), 1);
        assert_eq!(check_unsafe(&product("unsafe impl Send for X {}")).len(), 1);
        assert!(check_unsafe(&Source::sample("crates/x/src/sys/linux.rs", text)).is_empty());
        assert!(check_unsafe(&product("#![deny(unsafe_code)]")).is_empty());
    }
}
