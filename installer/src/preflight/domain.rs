//! Whether the domains are ones that a wildcard makes sense for.

use silica_api::types::Domain;

use crate::cli::check::Check;

/// Judges all domains.
pub(super) fn check(domains: &[Domain]) -> Check {
    let id = "domain";
    let names: Vec<String> = domains.iter().map(shown).collect();
    let title = format!("domain {}", names.join(", "));
    let mut kept = Vec::new();
    for domain in domains {
        match suffix(domain.as_str()) {
            Suffix::No => {}
            // Every CA and browser refuses `*.co.uk`; DNS and certificate would
            // cover the names of strangers.
            Suffix::Registry => {
                return Check::fail(
                    id,
                    title,
                    format!("{domain} is a public suffix: names below it belong to other people"),
                )
                .hint(format!(
                    "use a domain of your own, for example --domain sandbox.example.{domain}"
                ));
            }
            Suffix::Hosting => kept.push(domain.to_string()),
        }
    }
    if kept.is_empty() {
        return Check::pass(id, title);
    }
    Check::warn(
        id,
        title,
        format!(
            "{} hosts names of different owners; public CAs may refuse its wildcard",
            kept.join(", ")
        ),
    )
    .hint("use a name below it that is yours")
}

/// With the readable form of a name that DNS knows in other letters.
fn shown(domain: &Domain) -> String {
    let (readable, outcome) = idna::domain_to_unicode(domain.as_str());
    if outcome.is_ok() && readable != domain.as_str() {
        format!("{readable} (in DNS and certificates: {domain})")
    } else {
        domain.to_string()
    }
}

enum Suffix {
    No,
    /// Names below it are registered by anybody.
    Registry,
    /// A company gives names below it away.
    Hosting,
}

fn suffix(domain: &str) -> Suffix {
    let found = psl::suffix(domain.as_bytes()).filter(psl::Suffix::is_known);
    match found {
        Some(suffix) if suffix.as_bytes() == domain.as_bytes() => match suffix.typ() {
            Some(psl::Type::Private) => Suffix::Hosting,
            _ => Suffix::Registry,
        },
        _ => Suffix::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Verdict;

    fn judged(names: &[&str]) -> Check {
        let domains: Vec<Domain> = names.iter().map(|name| name.parse().unwrap()).collect();
        check(&domains)
    }

    #[test]
    fn a_wildcard_on_a_public_suffix_is_refused() {
        for suffix in ["co.uk", "com.cn", "foo.kawasaki.jp", "xn--55qx5d.cn"] {
            let check = judged(&["sandbox.example.com", suffix]);
            assert_eq!(check.verdict, Verdict::Fail, "{suffix}");
            assert!(check.detail.contains(suffix));
        }
        assert_eq!(judged(&["github.io"]).verdict, Verdict::Warn);
        for fine in [
            "example.co.uk",
            "silica.localhost",
            "example.com",
            "city.kawasaki.jp",
            "sandbox.internal",
        ] {
            assert_eq!(judged(&[fine]).verdict, Verdict::Pass, "{fine}");
        }
    }

    #[test]
    fn a_name_in_other_letters_is_shown_in_both_forms() {
        let title = judged(&["xn--bcher-kva.example"]).title;
        assert!(
            title.contains("bücher.example (in DNS and certificates: xn--bcher-kva.example)"),
            "{title}"
        );
    }
}
