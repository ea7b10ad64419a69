//! The names that have to resolve, each standing for a kind of request.

use serde::Serialize;

/// What a name is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The domain itself, used by single-host addressing.
    Apex,
    /// The host of the REST API, `api.`.
    Api,
    /// A name that nobody has created: only a wildcard record answers for it.
    Wildcard,
    /// The form of a sandbox address, `<port>-<namespace>--<name>.`.
    Sandbox,
}

impl Purpose {
    /// Whether the wildcard record is what answers.
    pub fn is_below_wildcard(self) -> bool {
        self != Self::Apex
    }
}

/// A name to ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Probe {
    /// The name, without final dot.
    pub name: String,
    /// What it stands for.
    pub purpose: Purpose,
}

/// The probes of a domain. `random` makes the two names unpredictable, so that
/// no cache and no leftover record can answer for them.
pub fn probes(domain: &str, random: u64) -> [Probe; 4] {
    let at = |label: String, purpose| Probe {
        name: format!("{label}.{domain}"),
        purpose,
    };
    [
        Probe {
            name: domain.to_owned(),
            purpose: Purpose::Apex,
        },
        at("api".to_owned(), Purpose::Api),
        at(format!("silica-{random:016x}"), Purpose::Wildcard),
        at(
            format!("49983-default--dns-{:08x}", random >> 32),
            Purpose::Sandbox,
        ),
    ]
}

/// Whether the name lies in `localhost.`, which resolvers answer with the
/// loopback address without asking DNS (RFC 6761 section 6.3).
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_is_one_label_below_the_domain() {
        for probe in &probes("x.test", u64::MAX)[1..] {
            let label = probe.name.strip_suffix(".x.test").unwrap();
            assert!(!label.contains('.') && label.len() <= 63, "{label}");
        }
    }

    #[test]
    fn localhost_is_a_whole_label() {
        assert!(is_localhost("silica.LOCALHOST."));
        assert!(is_localhost("localhost"));
        assert!(!is_localhost("notlocalhost"));
        assert!(!is_localhost("localhost.example"));
    }
}
