//! One module style: a module with submodules is a folder with `mod.rs`.

use std::collections::BTreeSet;

use super::Source;

/// Files that stand beside a folder of their name.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let folders: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.path.rsplit_once('/').map(|(folder, _)| folder))
        .collect();
    sources
        .iter()
        .filter_map(|source| source.path.strip_suffix(".rs"))
        .filter(|stem| folders.contains(stem))
        .map(|stem| format!("{stem}.rs stands beside a folder of its name: make it {stem}/mod.rs"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_beside_its_folder_is_found() {
        let source = |path: &str| Source {
            path: path.to_owned(),
            text: String::new(),
        };
        let found = check(&[source("a/b.rs"), source("a/b/c.rs"), source("a/d/mod.rs")]);
        assert_eq!(
            found,
            ["a/b.rs stands beside a folder of its name: make it a/b/mod.rs"]
        );
    }
}
