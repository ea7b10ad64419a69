//! What `VERIFY_X509_STRICT` of OpenSSL refuses, which Python sets from 3.13 on, and nobody else.

use std::fmt;

use super::finding::Finding;
use super::path::display_name;
use crate::inspect::Inspected;

/// A rule of RFC 5280 that only strict clients enforce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strict {
    /// Basic constraints of a CA that are not critical.
    BasicConstraintsNotCritical,
    /// A CA without subject key identifier.
    NoSubjectKeyId,
    /// An intermediate without authority key identifier.
    NoAuthorityKeyId,
    /// No subject, and alternative names that are not critical.
    NamesNotCritical,
    /// A server certificate whose key usage allows to sign certificates.
    LeafSignsCertificates,
}

impl fmt::Display for Strict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BasicConstraintsNotCritical => "is a CA whose basic constraints are not critical",
            Self::NoSubjectKeyId => "is a CA without subject key identifier",
            Self::NoAuthorityKeyId => "has no authority key identifier",
            Self::NamesNotCritical => "has an empty subject, and its alternative names are not critical",
            Self::LeafSignsCertificates => "is no CA, and its key usage allows keyCertSign",
        })
    }
}

/// What is against the server's certificate and the CAs' above it. The missing authority key
/// identifier of the server's own certificate is [`Finding::NoAuthorityKeyId`].
pub(super) fn findings(leaf: &Inspected, authorities: &[&Inspected]) -> Vec<Finding> {
    let told = |one: &Inspected, faults: Vec<(bool, Strict)>| {
        let subject = display_name(one);
        let broken = faults.into_iter().filter(|(is_broken, _)| *is_broken);
        broken
            .map(|(_, rule)| Finding::Strict {
                subject: subject.clone(),
                rule,
            })
            .collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    if !leaf.is_ca {
        let signs = leaf.key_usage.is_some_and(|usage| usage.key_cert_sign);
        let has_names = !leaf.names.is_empty() || !leaf.addresses.is_empty();
        findings.extend(told(
            leaf,
            vec![
                (signs, Strict::LeafSignsCertificates),
                (
                    leaf.subject.is_empty() && has_names && !leaf.has_critical_names,
                    Strict::NamesNotCritical,
                ),
            ],
        ));
    }
    for one in authorities {
        let no_issuer = one.authority_key_id.is_none() && !one.is_self_issued;
        findings.extend(told(
            one,
            vec![
                (
                    !one.has_critical_basic_constraints,
                    Strict::BasicConstraintsNotCritical,
                ),
                (one.subject_key_id.is_none(), Strict::NoSubjectKeyId),
                (no_issuer, Strict::NoAuthorityKeyId),
            ],
        ));
    }
    findings
}
