//! A Rust file as the rules see it: its tokens, its functions, which part of the project it belongs to, and which of
//! its lines are tests.

use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::tokens::{Token, flatten};
use super::tree::TextFile;

/// What a file is for; some rules hold for some areas only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    /// A crate's own code.
    Product,
    /// A crate's platform module: `src/sys.rs` and what is below `src/sys/`.
    Sys,
    /// Tests, benchmarks, and the member `tests` with its helper daemons.
    Tests,
    /// `examples/`.
    Example,
    /// This program.
    Xtask,
}

/// A parsed Rust file.
pub(crate) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) area: Area,
    pub(super) syntax: syn::File,
    pub(super) tokens: Vec<Token>,
    test_lines: Vec<RangeInclusive<usize>>,
}

impl Source {
    /// Reads the file's syntax; a file that is no Rust is a finding itself.
    pub(super) fn parse(file: TextFile) -> Result<Self, Finding> {
        let TextFile { path, text } = file;
        let refused = |error: &dyn std::fmt::Display, line| Finding {
            path: path.clone(),
            line,
            rule: "syntax",
            what: error.to_string(),
        };
        let stream: TokenStream = text
            .parse()
            .map_err(|error: proc_macro2::LexError| refused(&error, error.span().start().line))?;
        let tokens = flatten(stream);
        let syntax = syn::parse_file(&text).map_err(|error| refused(&error, error.span().start().line))?;
        let mut tests = TestSpans::default();
        tests.visit_file(&syntax);
        Ok(Self { area: area_of(&path), path, text, syntax, tokens, test_lines: tests.lines })
    }

    /// Whether the line is in a test, be it by its file or by a `#[cfg(test)]` around it.
    pub(super) fn is_test(&self, line: usize) -> bool {
        self.area == Area::Tests || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    pub(super) fn finding(&self, line: usize, rule: &'static str, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, rule, what: what.into() }
    }

    /// A made-up file, for the rules' own tests.
    #[cfg(test)]
    pub(super) fn sample(path: &str, text: &str) -> Self {
        let file = TextFile { path: PathBuf::from(path), text: text.to_owned() };
        Self::parse(file).unwrap_or_else(|finding| panic!("the sample is no Rust: {finding}"))
    }
}

fn area_of(path: &Path) -> Area {
    let words: Vec<&str> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let name = words.last().copied().unwrap_or_default();
    let in_sys = words.windows(2).any(|pair| pair[0] == "src" && matches!(pair[1], "sys" | "sys.rs"));
    if words.first() == Some(&"xtask") {
        Area::Xtask
    } else if in_sys {
        Area::Sys
    } else if words.iter().any(|word| matches!(*word, "tests" | "benches")) || name == "tests.rs" {
        Area::Tests
    } else if words.contains(&"examples") {
        Area::Example
    } else {
        Area::Product
    }
}

/// Collects the lines of items under `#[cfg(test)]`, `#[cfg(all(test, …))]` and `#[test]`.
#[derive(Default)]
struct TestSpans {
    lines: Vec<RangeInclusive<usize>>,
}

impl TestSpans {
    fn note(&mut self, attributes: &[syn::Attribute], item: &impl Spanned) {
        if attributes.iter().any(is_test_attribute) {
            let span = item.span();
            self.lines.push(span.start().line..=span.end().line);
        }
    }
}

fn is_test_attribute(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    let named_test = path.segments.last().is_some_and(|segment| segment.ident == "test");
    let syn::Meta::List(list) = &attribute.meta else { return named_test };
    let words: Vec<Token> = flatten(list.tokens.clone());
    let negated = words.iter().any(|token| token.is_ident("not"));
    named_test || (path.is_ident("cfg") && !negated && words.iter().any(|token| token.is_ident("test")))
}

impl<'ast> Visit<'ast> for TestSpans {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(module) => self.note(&module.attrs, module),
            syn::Item::Fn(function) => self.note(&function.attrs, function),
            syn::Item::Impl(block) => self.note(&block.attrs, block),
            syn::Item::Use(import) => self.note(&import.attrs, import),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        self.note(&method.attrs, method);
        visit::visit_impl_item_fn(self, method);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_area() {
        let cases = [
            ("crates/server/src/keeper.rs", Area::Product),
            ("crates/server/src/sys.rs", Area::Sys),
            ("crates/server/src/sys/linux.rs", Area::Sys),
            ("crates/server/src/system.rs", Area::Product),
            ("crates/server/src/policy/tests.rs", Area::Tests),
            ("crates/cli/tests/url.rs", Area::Tests),
            ("crates/cli/examples/tally.rs", Area::Example),
            ("tests/src/lib.rs", Area::Tests),
            ("xtask/src/sys.rs", Area::Xtask),
        ];
        for (path, area) in cases {
            assert_eq!(area_of(Path::new(path)), area, "{path}");
        }
    }

    #[test]
    fn test_modules_are_told_from_code() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(not(test))]\nfn c() {}\n";
        let source = Source::sample("crates/x/src/a.rs", text);
        assert!(!source.is_test(1) && source.is_test(4) && !source.is_test(7));
    }
}
