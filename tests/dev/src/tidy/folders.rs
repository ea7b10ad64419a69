//! Which folder of a crate may use which.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::{Source, paths};

/// Edges between the folders of a crate that the table lacks, and lines of the table without use.
pub(super) fn check(root: &str, allowed: &[(&str, &[&str])], sources: &[Source]) -> Result<Vec<String>> {
    let files: Vec<&Source> = sources
        .iter()
        .filter(|source| {
            source
                .path
                .strip_prefix(root)
                .is_some_and(|rest| rest.starts_with('/'))
        })
        .collect();
    let folders: BTreeSet<&str> = files
        .iter()
        .filter_map(|source| folder(root, &source.path))
        .collect();
    let mut edges: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for source in &files {
        let Some(from) = folder(root, &source.path) else {
            continue;
        };
        let modules =
            paths::modules(&source.text).with_context(|| format!("failed to read {}", source.path))?;
        for to in modules {
            if to != from && folders.contains(to.as_str()) {
                edges.entry((from, to)).or_insert(&source.path);
            }
        }
    }
    let allows = |from: &str, to: &str| {
        allowed
            .iter()
            .any(|(name, uses)| *name == from && uses.contains(&to))
    };
    let mut findings: Vec<String> = edges
        .iter()
        .filter(|((from, to), _)| !allows(from, to))
        .map(|((from, to), file)| format!("{root}: {from} must not use {to}, as {file} does"))
        .collect();
    for (from, uses) in allowed {
        let unused = uses
            .iter()
            .filter(|to| !edges.contains_key(&(*from, (**to).to_owned())));
        findings
            .extend(unused.map(|to| format!("{root}: {from} no longer uses {to}: remove it from the table")));
    }
    findings.extend(circle(allowed).map(|names| format!("{root}: a circle: {}", names.join(" -> "))));
    Ok(findings)
}

/// The folder of a file below `root`; nothing for a file that lies there itself.
fn folder<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(root)?.strip_prefix('/')?;
    rest.split_once('/').map(|(folder, _)| folder)
}

/// A way from a folder back to itself.
fn circle(edges: &[(&str, &[&str])]) -> Option<Vec<String>> {
    let next = |name: &str| {
        let found = edges.iter().find(|(from, _)| *from == name);
        found.map_or(&[][..], |(_, to)| *to)
    };
    for (start, _) in edges {
        let mut ways = vec![vec![*start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            for to in next(way.last().copied().unwrap_or_default()) {
                if to == start {
                    return Some(way.iter().chain([to]).map(|name| (*name).to_owned()).collect());
                }
                if seen.insert(*to) {
                    ways.push(way.iter().copied().chain([*to]).collect());
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn edge_that_the_table_lacks_is_found_with_its_file() {
        let sources = [
            source("x/src/a/mod.rs", "use crate::b::B;"),
            source("x/src/b/mod.rs", ""),
            source("x/src/main.rs", "use crate::a::A;"),
        ];
        assert!(check("x/src", &[("a", &["b"])], &sources).unwrap().is_empty());
        assert_eq!(
            check("x/src", &[], &sources).unwrap(),
            ["x/src: a must not use b, as x/src/a/mod.rs does"]
        );
        let unused = check("x/src", &[("a", &["b"]), ("b", &["c"])], &sources).unwrap();
        assert_eq!(unused, ["x/src: b no longer uses c: remove it from the table"]);
    }

    #[test]
    fn circle_of_the_table_is_found() {
        let table: &[(&str, &[&str])] = &[("a", &["b"]), ("b", &["c"]), ("c", &["b"])];
        assert_eq!(circle(table).unwrap(), ["b", "c", "b"]);
        assert!(circle(&table[..2]).is_none());
    }
}
