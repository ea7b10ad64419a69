//! Domains as people write them, in the letters of DNS.

use silica_api::types::Domain;

use super::{Error, Origin};

/// Reads a domain in any letters; a certificate has its A-labels.
pub(super) fn domain(text: &str, origin: impl Fn() -> Origin) -> Result<Domain, Error> {
    let ascii = if text.is_ascii() {
        text.to_owned()
    } else {
        idna::domain_to_ascii_strict(text).map_err(|_| Error::Letters {
            origin: origin(),
            domain: text.to_owned(),
        })?
    };
    ascii.parse().map_err(|source| Error::Name {
        what: "domain",
        origin: origin(),
        source,
    })
}

/// The domains of `--domain`, each once.
pub fn domains_of_flag(given: &[String]) -> Result<Vec<Domain>, Error> {
    let mut domains: Vec<Domain> = Vec::with_capacity(given.len());
    for text in given {
        let domain = domain(text, || Origin::Flag("domain".into()))?;
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_domain_are_the_same_domain() {
        let given = ["Bücher.example".to_owned(), "xn--bcher-kva.example".to_owned()];
        let read = domains_of_flag(&given).unwrap();
        assert_eq!(read, ["xn--bcher-kva.example".parse().unwrap()]);
    }

    #[test]
    fn what_is_no_domain_in_any_letters_is_named() {
        for bad in ["bü cher.example", "a_b.example", "bücher"] {
            let error = domains_of_flag(&[bad.to_owned()]).unwrap_err();
            assert!(error.to_string().contains("--domain"), "{bad}: {error}");
        }
    }
}
