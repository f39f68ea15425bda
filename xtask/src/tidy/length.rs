//! What is too long to be held in mind: files over 500 lines, functions over 70. Files over 350 give a warning.
//!
//! A file that is better in one piece says so: a line near its top that begins with `//! Length:` and gives the reason.
//! For functions there is no such way out. A function is counted from its signature to its brace, without its docs.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{Finding, Source};

const FILE: usize = 500;
const FILE_WARNING: usize = 350;
const FUNCTION: usize = 70;
/// "Near the top": within what an editor shows at once.
const NEAR_THE_TOP: usize = 40;

pub(super) fn check_file(source: &Source) -> Vec<Finding> {
    let length = source.text.lines().count();
    if length <= FILE || gives_a_reason(source) {
        return Vec::new();
    }
    vec![source.finding(length, "file-length", format!("{length} lines, over {FILE}"))]
}

/// Long, but not yet too long.
pub(super) fn warn_file(source: &Source) -> Option<Finding> {
    let length = source.text.lines().count();
    let long = length > FILE_WARNING && !gives_a_reason(source) && length <= FILE;
    long.then(|| source.finding(length, "file-length", format!("{length} lines, over {FILE_WARNING}")))
}

fn gives_a_reason(source: &Source) -> bool {
    let reasons = source.text.lines().take(NEAR_THE_TOP).filter_map(|line| line.strip_prefix("//! Length:"));
    reasons.into_iter().any(|reason| !reason.trim().is_empty())
}

pub(super) fn check_functions(source: &Source) -> Vec<Finding> {
    let mut functions = Functions { source, findings: Vec::new() };
    functions.visit_file(&source.syntax);
    functions.findings
}

struct Functions<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let length = block.span().end().line + 1 - first;
        if length > FUNCTION {
            let what = format!("`{}` has {length} lines, over {FUNCTION}", signature.ident);
            self.findings.push(self.source.finding(first, "function-length", what));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        self.measure(&method.sig, &method.block);
        visit::visit_impl_item_fn(self, method);
    }

    fn visit_trait_item_fn(&mut self, method: &'ast syn::TraitItemFn) {
        if let Some(block) = &method.default {
            self.measure(&method.sig, block);
        }
        visit::visit_trait_item_fn(self, method);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(lines: usize, top: &str) -> Source {
        Source::sample("crates/x/src/a.rs", &format!("{top}\n{}", "// a line\n".repeat(lines - 1)))
    }

    #[test]
    fn long_files_are_found_and_a_reason_is_heard() {
        assert_eq!(check_file(&file_of(501, "//! Doc.")).len(), 1);
        assert!(check_file(&file_of(500, "//! Doc.")).is_empty());
        assert!(check_file(&file_of(900, "//! Length: one table, read as one.")).is_empty());
        assert_eq!(check_file(&file_of(900, "//! Length:")).len(), 1, "an empty reason is none");
        assert!(warn_file(&file_of(351, "//! Doc.")).is_some());
        assert!(warn_file(&file_of(350, "//! Doc.")).is_none());
    }

    #[test]
    fn long_functions_are_found_wherever_they_are() {
        let body = "    ();\n".repeat(69);
        for (before, after) in [("", ""), ("impl X {", "}"), ("trait X {", "}"), ("mod tests {", "}")] {
            let long = format!("{before}\nfn a() {{\n{body}}}\n{after}");
            assert_eq!(check_functions(&Source::sample("crates/x/src/a.rs", &long)).len(), 1, "{before}");
            let short = long.replacen("    ();\n", "", 1);
            assert!(check_functions(&Source::sample("crates/x/src/a.rs", &short)).is_empty(), "{before}");
        }
    }
}
