//! Certificates that a CA elsewhere signs for whoever proves the control of their
//! domains.

use silica_certs::inspect::{self, Inspected};
use time::OffsetDateTime;

use super::{Found, Verdict};

impl Found<'_> {
    /// Whether the served certificate is one that was ordered over ACME, and
    /// can be ordered again. The mark alone says nothing: the certificate may
    /// have been replaced.
    pub(crate) fn is_official(&self) -> bool {
        let Some(leaf) = self.leaf.as_ref().filter(|_| self.can_order) else {
            return false;
        };
        let chain = inspect::parse_chain(leaf.pair.chain_pem.unwrap_or_default()).unwrap_or_default();
        let current = chain.first();
        leaf.ordered.is_some() && leaf.ordered == current.map(|current| current.fingerprint.as_str())
    }
}

/// What is to be done about one that can be ordered again. `end` is the chain's earliest; another
/// order would bring the same issuers, so it does not make one due.
pub(super) fn official(current: &Inspected, end: OffsetDateTime, now: OffsetDateTime) -> Verdict {
    let (not_after, due) = (end, current.renewal_due());
    if now < due {
        return Verdict::Keep { not_after, due };
    }
    let mut domains: Vec<String> = Vec::new();
    for name in &current.names {
        // A wildcard comes with its domain.
        let domain = name.strip_prefix("*.").unwrap_or(name);
        if !domains.iter().any(|known| known == domain) {
            domains.push(domain.to_owned());
        }
    }
    Verdict::OrderAnew { not_after, domains }
}

#[cfg(test)]
mod tests {
    use silica_certs::LEAF_VALIDITY;
    use time::Duration;

    use super::{
        super::{FoundLeaf, decide, fixture::*},
        *,
    };

    #[test]
    fn an_ordered_certificate_is_ordered_again_when_due_and_only_then() {
        let authority = authority();
        let leaf = leaf(&authority);
        let fingerprint = inspect::parse_chain(leaf.chain_pem()).unwrap()[0]
            .fingerprint
            .clone();
        let at = |ordered: Option<&str>, can_order, days| {
            let mut found = found(&leaf, &authority);
            // As `certs issue` writes it: without the label, with the mark.
            found.authority = None;
            found.can_order = can_order;
            found.leaf = found.leaf.map(|leaf| FoundLeaf {
                is_labelled: false,
                ordered,
                ..leaf
            });
            decide(&found, start() + Duration::days(days))
        };
        let mark = Some(fingerprint.as_str());
        assert!(matches!(at(mark, true, 59), Verdict::Keep { .. }));
        let Verdict::OrderAnew { domains, .. } = at(mark, true, 61) else {
            panic!("not ordered");
        };
        assert_eq!(domains, [DOMAIN]);
        // Also when it is over already.
        assert!(matches!(at(mark, true, 100), Verdict::OrderAnew { .. }));
        // Replaced by somebody, or no way to prove it without a person.
        assert!(matches!(at(Some("ff"), true, 61), Verdict::Foreign { .. }));
        assert!(matches!(at(None, true, 61), Verdict::Foreign { .. }));
        assert!(matches!(at(mark, false, 61), Verdict::Foreign { .. }));
    }

    /// Not even when our own CA could sign it, and nears its end besides.
    #[test]
    fn it_is_never_replaced_by_one_of_our_own_ca() {
        let ending = authority_for(LEAF_VALIDITY);
        let leaf = leaf(&ending);
        let fingerprint = inspect::parse_chain(leaf.chain_pem()).unwrap()[0]
            .fingerprint
            .clone();
        let mut found = found(&leaf, &ending);
        found.bundle = Some(ending.certificate_pem());
        found.can_order = true;
        let theirs = found.leaf.as_mut().unwrap();
        theirs.ordered = Some(&fingerprint);
        assert!(found.is_official());
        for days in [1, 59, 61, 89, 400] {
            let verdict = decide(&found, start() + Duration::days(days));
            assert!(
                matches!(verdict, Verdict::Keep { .. } | Verdict::OrderAnew { .. }),
                "{days}: {verdict:?}"
            );
        }
    }
}
