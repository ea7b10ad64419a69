//! Metadata of a create call as annotations, for people and programs that look at the objects.

use std::collections::BTreeMap;

/// Most bytes of keys and values: an object may have 256 KiB of annotations in all, and the
/// whole of the metadata is among them already.
const MAX_BYTES: usize = 16 * 1024;
/// Domains whose keys have a meaning for the cluster or for Silica.
const RESERVED: [&str; 3] = ["kruise.io", "kubernetes.io", "k8s.io"];

/// The pairs that can be annotations of their own, in the order of their keys, as many as fit.
pub fn annotations(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut left = MAX_BYTES;
    let mut chosen = BTreeMap::new();
    for (key, value) in metadata.iter().filter(|(key, _)| is_allowed(key)) {
        let size = key.len() + value.len();
        if size <= left {
            left -= size;
            chosen.insert(key.clone(), value.clone());
        }
    }
    chosen
}

/// Whether the API server takes the key, and nobody but the user gives it a meaning.
fn is_allowed(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('/') else {
        return is_name(key);
    };
    let is_reserved = |domain: &&str| {
        let prefix = prefix.to_ascii_lowercase();
        let front = prefix.strip_suffix(*domain);
        front.is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    is_name(name) && is_subdomain(prefix) && !RESERVED.iter().any(is_reserved)
}

/// A qualified name without its prefix: at most 63 characters, letters and digits at both ends.
fn is_name(text: &str) -> bool {
    text.len() <= 63
        && is_edged(text)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A DNS subdomain. Upper case is fine: the API server lowers annotation keys for this check.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            is_edged(label)
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn is_edged(text: &str) -> bool {
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    ends.into_iter()
        .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> Vec<String> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        annotations(&pairs.collect()).into_keys().collect()
    }

    #[test]
    fn keys_that_the_api_server_takes_become_annotations() {
        for good in [
            "user",
            "userId",
            "a.b_c-d",
            "example.com/user",
            "Team.example.com/x",
        ] {
            assert_eq!(keys(&[(good, "any value: ü\n")]), [good]);
        }
        let long = "x".repeat(64);
        for bad in [
            "", "a b", "-a", "a-", "a/b/c", "/a", "a/", "a..b/c", "a_b/c", "ü", &long,
        ] {
            assert!(keys(&[(bad, "1")]).is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn keys_with_a_meaning_for_the_cluster_stay_out() {
        for reserved in [
            "agents.kruise.io/owner",
            "kruise.io/x",
            "Agents.Kruise.io/owner",
            "kubectl.kubernetes.io/last-applied-configuration",
            "kubernetes.io/x",
            "node.k8s.io/x",
        ] {
            assert!(keys(&[(reserved, "1")]).is_empty(), "{reserved}");
        }
        assert_eq!(keys(&[("notkruise.io/x", "1")]), ["notkruise.io/x"]);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let large = "x".repeat(MAX_BYTES);
        assert_eq!(keys(&[("a", "1"), ("b", &large), ("c", "2")]), ["a", "c"]);
    }
}
