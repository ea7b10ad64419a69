//! Facts that are written down once.

use super::{Source, rules};

/// Files other than its home in which a literal stands, tests left out: those say what is expected.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (literal, home) in rules::LITERALS {
        if !sources
            .iter()
            .any(|source| source.path == *home && source.text.contains(literal))
        {
            findings.push(format!("{literal} is not in {home}: correct the table"));
        }
        for source in sources {
            if source.path == *home || is_of_tests(&source.path) {
                continue;
            }
            if production(&source.text)
                .lines()
                .any(|line| is_code(line) && line.contains(literal))
            {
                findings.push(format!("{}: {literal} has its home in {home}", source.path));
            }
        }
    }
    findings
}

/// Files that hold tests only, or belong to the developer program.
fn is_of_tests(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.contains("/fuzz/")
        || path.ends_with("/tests.rs")
        || path.contains("_tests/")
}

/// A file without the module of its tests, which comes last.
fn production(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn is_code(line: &str) -> bool {
    !line.trim_start().starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_comments_do_not_count() {
        let text = "// 1\nlet a = 2;\n\n#[cfg(test)]\nmod tests {\n    3\n}\n";
        assert!(!production(text).contains('3'));
        assert!(!is_code("    /// text"));
        assert!(is_of_tests("installer/certs/tests/it/main.rs"));
        assert!(!is_of_tests("installer/src/main.rs"));
    }
}
