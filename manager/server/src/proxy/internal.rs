//! Routes of the in-sandbox daemon that only the manager may call.

use percent_encoding::percent_decode_str;

/// Paths below which nothing is reachable from outside.
const INTERNAL: [&str; 8] = [
    "init", "loopback", "freeze", "unfreeze", "fsfreeze", "fsthaw", "collapse", "upgrade",
];

/// Whether the path is one of the daemon's internal routes, however it is written:
/// with escapes, doubled slashes or dot segments.
pub(super) fn is_internal(path_and_query: &str) -> bool {
    let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut segments = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments.first().is_some_and(|first| {
        INTERNAL
            .iter()
            .any(|internal| first.eq_ignore_ascii_case(internal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_routes_are_recognised_in_every_spelling() {
        for path in [
            "/init",
            "/init/",
            "//init",
            "/%69nit",
            "/./init?x=1",
            "/a/../init",
            "/INIT",
            "/freeze",
            "/loopback/22",
            "/upgrade/x",
            "/%zz/../init",
            "/%ff/../%49NIT",
        ] {
            assert!(is_internal(path), "{path}");
        }
    }

    #[test]
    fn other_routes_pass() {
        for path in [
            "/",
            "/files?path=/init",
            "/initial",
            "/process.Process/Start",
            "/x/init",
        ] {
            assert!(!is_internal(path), "{path}");
        }
    }
}
