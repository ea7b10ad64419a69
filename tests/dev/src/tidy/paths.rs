//! Which modules of its own crate a file names: `crate::a::b` and `use crate::{a, b::c}`.

use std::collections::BTreeSet;
use std::iter::Peekable;

use anyhow::{Result, anyhow};
use proc_macro2::token_stream::IntoIter;
use proc_macro2::{TokenStream, TokenTree};

/// First segments of all paths that begin with `crate`, in macros, too.
pub(super) fn modules(text: &str) -> Result<BTreeSet<String>> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("not Rust: {error}"))?;
    let mut found = BTreeSet::new();
    walk(tokens, &mut found);
    Ok(found)
}

fn walk(tokens: TokenStream, found: &mut BTreeSet<String>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "crate" => follow(&mut tokens, found),
            TokenTree::Group(group) => walk(group.stream(), found),
            _ => {}
        }
    }
}

/// Reads what comes after `crate`.
fn follow(tokens: &mut Peekable<IntoIter>, found: &mut BTreeSet<String>) {
    for _ in 0..2 {
        if !matches!(tokens.peek(), Some(TokenTree::Punct(sign)) if sign.as_char() == ':') {
            return;
        }
        tokens.next();
    }
    match tokens.next() {
        Some(TokenTree::Ident(name)) => {
            found.insert(name.to_string());
        }
        Some(TokenTree::Group(group)) => {
            // The first word of each branch.
            let mut is_first = true;
            for token in group.stream() {
                match token {
                    TokenTree::Ident(name) if is_first => {
                        found.insert(name.to_string());
                        is_first = false;
                    }
                    TokenTree::Punct(sign) if sign.as_char() == ',' => is_first = true,
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_paths_are_found() {
        let text = "
            //! crate::comment
            use crate::{a::{x, y}, b, c as d};
            pub(crate) fn f() { crate::e::g(); vec![crate::h::I]; }
        ";
        let names: Vec<String> = modules(text).unwrap().into_iter().collect();
        assert_eq!(names, ["a", "b", "c", "e", "h"]);
    }
}
