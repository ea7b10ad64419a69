//! Finds the Debian mirror that the machine's own apt uses.

use std::fs;
use std::path::{Path, PathBuf};

/// The mirror of `suite`, or `None`: debootstrap then uses its own default.
pub(crate) fn observe(suite: &str) -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    files.sort();
    files.iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        if is_stanza_file(file) {
            find_in_stanzas(&text, suite)
        } else {
            find_in_lines(&text, suite)
        }
    })
}

fn is_stanza_file(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "sources")
}

/// One-line style of `sources.list(5)`: `deb [options] uri suite component...`.
fn find_in_lines(text: &str, suite: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let uri = words.next()?;
        (words.next()? == suite && words.any(|component| component == "main")).then(|| uri.to_owned())
    })
}

/// Stanza style of `sources.list(5)`: `URIs:` and `Suites:` fields, stanzas apart by an empty line.
fn find_in_stanzas(text: &str, suite: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::split_whitespace)
        };
        let matches = field("Suites:")?.any(|found| found == suite)
            && field("Components:")?.any(|component| component == "main");
        field("URIs:")?.next().filter(|_| matches).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_is_found_in_both_styles() {
        let lines = "# comment\ndeb http://other.example/x stable main\n\
                     deb [arch=amd64 signed-by=/k] http://mirror.example/debian bookworm main contrib\n";
        let found = Some("http://mirror.example/debian".to_owned());
        assert_eq!(find_in_lines(lines, "bookworm"), found);
        let stanzas = "Types: deb\nURIs: http://security.example/\nSuites: bookworm-security\nComponents: main\n\n\
                       Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                       Components: main\n";
        assert_eq!(find_in_stanzas(stanzas, "bookworm"), found);
    }

    #[test]
    fn other_release_gives_no_mirror() {
        assert_eq!(
            find_in_lines("deb http://mirror.example/debian trixie main", "bookworm"),
            None
        );
    }
}
