//! Every file says at its top what it is for.

use super::{Finding, Source};

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let documented = source.syntax.attrs.iter().any(|attribute| {
        matches!(attribute.style, syn::AttrStyle::Inner(_)) && attribute.path().is_ident("doc")
    });
    if documented { Vec::new() } else { vec![source.finding(1, "module-doc", "no `//!` at the top")] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_module_doc_is_found() {
        assert_eq!(check(&Source::sample("crates/x/src/a.rs", "/// Of the item.\nfn a() {}\n")).len(), 1);
        assert!(check(&Source::sample("crates/x/src/a.rs", "//! Of the file.\nfn a() {}\n")).is_empty());
    }
}
