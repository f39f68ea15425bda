//! A file as a flat list of tokens with their lines: macros' arguments included, comments and white space not.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token, and the line on which it begins.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ident(String),
    Punct(char),
    Literal(String),
    Open(Delimiter),
    Close(Delimiter),
}

impl Token {
    pub(super) fn is_ident(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Ident(ident) if ident == name)
    }

    pub(super) fn is_punct(&self, sign: char) -> bool {
        self.kind == Kind::Punct(sign)
    }

    pub(super) fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(ident) => Some(ident),
            _ => None,
        }
    }
}

/// Every token of `stream` in reading order, the delimiters of groups among them.
pub(super) fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    push_all(stream, &mut tokens);
    tokens
}

fn push_all(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let kind = match tree {
            TokenTree::Ident(ident) => Kind::Ident(ident.to_string()),
            TokenTree::Punct(punct) => Kind::Punct(punct.as_char()),
            TokenTree::Literal(literal) => Kind::Literal(literal.to_string()),
            TokenTree::Group(group) => {
                let (delimiter, end) = (group.delimiter(), group.span_close().start().line);
                tokens.push(Token { kind: Kind::Open(delimiter), line });
                push_all(group.stream(), tokens);
                tokens.push(Token { kind: Kind::Close(delimiter), line: end });
                continue;
            }
        };
        tokens.push(Token { kind, line });
    }
}

/// What stands between the `Open` at `tokens[at]` and its `Close`.
pub(super) fn group(tokens: &[Token], at: usize) -> &[Token] {
    let mut depth = 0_usize;
    for (offset, token) in tokens[at..].iter().enumerate() {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &tokens[(at + 1).min(at + offset)..at + offset];
        }
    }
    &tokens[tokens.len()..]
}

/// The parts of a group's inside that its own commas separate.
pub(super) fn arguments(inside: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    let mut parts = inside.split(|token| {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth -= 1,
            _ => {}
        }
        depth == 0 && token.is_punct(',')
    });
    parts.by_ref().filter(|part| !part.is_empty()).collect()
}
