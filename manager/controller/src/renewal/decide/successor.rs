//! What the next certificate is like: names, life, and what follows it in the
//! chain.

use silica_certs::{
    LEAF_VALIDITY, LEAF_VALIDITY_MAX, NOT_BEFORE_MARGIN,
    authority::Authority,
    inspect::{self, Inspected},
    pem,
};
use time::{Duration, OffsetDateTime};

use super::{Found, origin::signing};

/// A shorter life is not what anybody chose for good: the CA's end cut it, or
/// it was a trial. Renewing with it would renew without end, since a life below
/// half an hour is over by two thirds from the start (`notBefore` lies an hour
/// back).
const SHORTEST_LIFE: Duration = Duration::days(1);

/// The life that the next certificate gets.
pub(crate) fn leaf_life(found: &Found<'_>) -> Duration {
    let chain = found.leaf.and_then(|leaf| leaf.pair.chain_pem);
    let current = chain.and_then(|chain| inspect::parse_chain(chain).ok()?.into_iter().next());
    match (current, signing(found)) {
        (Some(current), Some(authority)) => renewed_validity(&current, authority.inspected()),
        _ => LEAF_VALIDITY,
    }
}

/// The names of the served certificate.
pub(crate) fn names(chain_pem: &str) -> Vec<String> {
    let chain = inspect::parse_chain(chain_pem).unwrap_or_default();
    chain
        .into_iter()
        .next()
        .map(|leaf| leaf.names)
        .unwrap_or_default()
}

/// The life that its maker gave it, where that was a choice.
pub(super) fn renewed_validity(current: &Inspected, authority: &Inspected) -> Duration {
    let life = current.not_after - current.not_before - NOT_BEFORE_MARGIN;
    let was_cut = current.not_after == authority.not_after;
    if was_cut || !(SHORTEST_LIFE..=LEAF_VALIDITY_MAX).contains(&life) {
        LEAF_VALIDITY
    } else {
        life
    }
}

pub(super) fn cross_certificates(chain_pem: &str, authority: &Authority, now: OffsetDateTime) -> String {
    let certificates = pem::certificates(chain_pem).unwrap_or_default();
    certificates
        .iter()
        .skip(1)
        .filter(|der| {
            inspect::parse_der(der).is_ok_and(|one| {
                one.public_key_info == authority.inspected().public_key_info
                    && !one.is_self_issued
                    && one.is_valid_at(now)
            })
        })
        .map(|der| pem::encode_certificate(der))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Verdict, decide, fixture::*},
        *,
    };

    #[test]
    fn a_chain_with_a_cross_certificate_keeps_it() {
        let (former, current) = (authority(), authority());
        let cross = former.cross_certify(&current, start()).unwrap();
        let leaf = leaf(&current).with_cross(&cross);
        let order = order(decide(&found(&leaf, &current), start() + Duration::days(70)));
        assert_eq!(order.cross_pem, cross);
        // Before the CA is switched the same chain is good for the former one.
        assert!(matches!(
            decide(&found(&leaf, &former), start()),
            Verdict::Keep { .. }
        ));
    }

    #[test]
    fn a_chosen_life_is_kept_and_a_trial_is_not() {
        let authority = authority();
        for (life, renewed) in [
            (Duration::days(30), Duration::days(30)),
            (Duration::days(820), Duration::days(820)),
            (Duration::minutes(2), LEAF_VALIDITY),
        ] {
            let leaf = leaf_for(&authority, life);
            let order = order(decide(&found(&leaf, &authority), leaf.not_after()));
            assert_eq!(order.request.validity, renewed);
        }
    }
}
