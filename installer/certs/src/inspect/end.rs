//! Which certificate of a chain ends first: from then on clients refuse the whole chain.

use super::Inspected;

impl Inspected {
    /// Whether this certificate can have signed the other: by name, and by key identifiers where
    /// both have one, since two generations of a CA may share their name.
    pub(crate) fn is_issuer_of(&self, below: &Self) -> bool {
        self.subject == below.issuer
            && (below.authority_key_id.is_none()
                || self.subject_key_id.is_none()
                || self.subject_key_id == below.authority_key_id)
    }
}

/// The certificate that ends first on the way from the first of the chain to a root. `roots` are
/// those of the clients, where they are known. Of several certificates of one issuer (a renewed
/// intermediate, a cross certificate beside its root) the one that lasts longest counts, since
/// clients take whichever leads to a root.
pub fn first_to_end<'a>(chain: &'a [Inspected], roots: &'a [Inspected]) -> Option<&'a Inspected> {
    let mut current = chain.first()?;
    let mut first = current;
    let mut rest: Vec<&Inspected> = chain.iter().skip(1).chain(roots).collect();
    while !current.is_self_issued {
        let above = rest.iter().filter(|one| one.is_issuer_of(current));
        let Some(above) = above.max_by_key(|one| one.not_after).copied() else {
            break;
        };
        // Each certificate once: cross certificates can sign each other.
        rest.retain(|one| one.fingerprint != above.fingerprint);
        if above.not_after < first.not_after {
            first = above;
        }
        current = above;
    }
    Some(first)
}
