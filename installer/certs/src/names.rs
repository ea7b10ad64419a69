//! Names that certificates carry and the rules by which they match.

use std::collections::BTreeSet;

/// Why a name cannot stand in a certificate.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Empty, over 253 characters, or a label over 63.
    #[error("the name {name:?} has a bad length")]
    Length {
        /// The name.
        name: String,
    },
    /// Characters that a host name cannot have (RFC 1123 section 2.1). Names in
    /// other scripts must be given in their `xn--` form.
    #[error("the name {name:?} is not a DNS name; names in other scripts need their xn-- form")]
    Characters {
        /// The name.
        name: String,
    },
    /// A `*` somewhere else than as the whole first label.
    #[error("the wildcard in {name:?} must be the whole first label")]
    Wildcard {
        /// The name.
        name: String,
    },
}

/// A Service by which clients inside of the cluster reach the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Name of the Service.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Domain of the cluster, usually `cluster.local`.
    pub cluster_domain: String,
}

impl Service {
    /// The Service in a cluster with the usual domain `cluster.local`.
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            cluster_domain: "cluster.local".to_owned(),
        }
    }

    /// The names that resolve in every pod: with and without the cluster domain.
    fn names(&self) -> [String; 2] {
        let short = format!("{}.{}.svc", self.name, self.namespace);
        let full = format!("{short}.{}", self.cluster_domain.trim_matches('.'));
        [short, full]
    }
}

/// The names of a server certificate: apex and wildcard of each domain, then
/// the in-cluster names. A wildcard never covers its apex (RFC 6125 section
/// 6.4.3), so both are needed. Issuing and checking use this one function.
pub fn server_names<D: AsRef<str>>(domains: &[D], services: &[Service]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    domains
        .iter()
        .flat_map(|domain| {
            let domain = canonical(domain.as_ref());
            [domain.clone(), format!("*.{domain}")]
        })
        .chain(services.iter().flat_map(Service::names))
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

/// The in-cluster names that a CA must permit so that [`server_names`] can be
/// issued: give them to [`AuthorityRequest::permitted`](crate::authority::AuthorityRequest).
pub fn permitted_services(services: &[Service]) -> Vec<String> {
    services.iter().flat_map(Service::names).collect()
}

/// Checks a name and brings it into one form: lower case, no final dot. A
/// wildcard is accepted as the whole first label.
pub fn parse(name: &str) -> Result<String, Error> {
    let canonical = canonical(name);
    let base = canonical.strip_prefix("*.").unwrap_or(&canonical);
    if base.contains('*') {
        return Err(Error::Wildcard {
            name: name.to_owned(),
        });
    }
    let bad_length = base.is_empty()
        || canonical.len() > 253
        || base.split('.').any(|label| label.is_empty() || label.len() > 63);
    if bad_length {
        return Err(Error::Length {
            name: name.to_owned(),
        });
    }
    let good_label = |label: &str| {
        !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !base.split('.').all(good_label) {
        return Err(Error::Characters {
            name: name.to_owned(),
        });
    }
    Ok(canonical)
}

/// Whether the name (or all that a wildcard stands for) lies in a permitted
/// subtree: equal to it or below it (RFC 5280 section 4.2.1.10).
pub fn is_within(name: &str, subtree: &str) -> bool {
    let name = canonical(name);
    let name = name.strip_prefix("*.").unwrap_or(&name);
    let subtree = canonical(subtree);
    let subtree = subtree.trim_start_matches('.');
    subtree.is_empty()
        || name == subtree
        || name.strip_suffix(subtree).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether a name of a certificate covers what is wanted: the same text, or a
/// wildcard over exactly one label.
pub fn covers(pattern: &str, wanted: &str) -> bool {
    let (pattern, wanted) = (canonical(pattern), canonical(wanted));
    if pattern == wanted {
        return true;
    }
    let Some(parent) = pattern.strip_prefix("*.") else {
        return false;
    };
    wanted
        .split_once('.')
        .is_some_and(|(label, rest)| !label.is_empty() && label != "*" && rest == parent)
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_gets_apex_and_wildcard() {
        let names = server_names(&["A.example.com.", "b.test"], &[]);
        assert_eq!(names, ["a.example.com", "*.a.example.com", "b.test", "*.b.test"]);
    }

    #[test]
    fn services_follow_and_nothing_repeats() {
        let service = Service::new("sandbox-manager", "sandbox-system");
        let names = server_names(&["x.test", "x.test"], &[service.clone(), service]);
        assert_eq!(
            names,
            [
                "x.test",
                "*.x.test",
                "sandbox-manager.sandbox-system.svc",
                "sandbox-manager.sandbox-system.svc.cluster.local",
            ]
        );
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(parse("*.Example.COM.").unwrap(), "*.example.com");
        assert_eq!(parse("xn--bcher-kva.example").unwrap(), "xn--bcher-kva.example");
        for bad in ["", "a..b", &"a".repeat(64), &["abcdefgh"; 29].join(".")] {
            assert!(matches!(parse(bad), Err(Error::Length { .. })), "{bad}");
        }
        for bad in ["bücher.example", "a_b.example", "-a.example", "a-.example", "a b"] {
            assert!(matches!(parse(bad), Err(Error::Characters { .. })), "{bad}");
        }
        for bad in ["*.", "a.*.example", "a*.example", "*.*.example"] {
            assert!(matches!(parse(bad), Err(Error::Wildcard { .. })), "{bad}");
        }
    }

    #[test]
    fn subtree_holds_itself_and_what_is_below() {
        assert!(is_within("x.test", "x.test"));
        assert!(is_within("*.x.test", "x.test"));
        assert!(is_within("a.b.x.test", ".X.test"));
        assert!(!is_within("notx.test", "x.test"));
        assert!(!is_within("*.test", "x.test"));
    }

    #[test]
    fn wildcard_covers_one_label_and_not_the_apex() {
        assert!(covers("*.x.test", "49999-a.x.test"));
        assert!(!covers("*.x.test", "x.test"));
        assert!(!covers("*.x.test", "a.b.x.test"));
        assert!(covers("*.x.test", "*.x.test"));
        assert!(!covers("*.test", "*.x.test"));
    }
}
