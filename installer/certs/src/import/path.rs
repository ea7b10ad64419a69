//! Whether the certificates lead from the server's to a root that clients have.

use time::OffsetDateTime;

use super::finding::Finding;
use super::limits::Limit;
use crate::inspect::{self, Inspected};
use crate::{pem, verify, whole_text};

/// How the certificates hang together by names and key identifiers; whether the
/// signatures hold is not looked at.
pub(super) struct Line {
    /// Number of CA certificates between the server's and the root.
    between: usize,
    /// The root at its end.
    pub(super) root: Option<Inspected>,
    /// The last certificate that was found, when no root follows.
    dead_end: Option<Inspected>,
}

impl Line {
    /// Climbs from the server's certificate. Without roots the last certificate
    /// stands for them.
    pub(super) fn of(chain: &[Inspected], roots: Option<&[Inspected]>) -> Self {
        let anchors = roots.unwrap_or_else(|| chain.last().map(std::slice::from_ref).unwrap_or_default());
        let is_anchor = |one: &Inspected| anchors.iter().any(|anchor| anchor.fingerprint == one.fingerprint);
        let mut line = Self {
            between: 0,
            root: None,
            dead_end: None,
        };
        let mut rest: Vec<&Inspected> = chain.iter().collect();
        let first = rest.iter().position(|one| !one.is_ca).unwrap_or(0);
        let mut current = (first < rest.len()).then(|| rest.remove(first));
        while let Some(one) = current {
            let root = Some(one).filter(|one| is_anchor(one));
            let root = root.or_else(|| anchors.iter().find(|anchor| anchor.is_issuer_of(one)));
            if let Some(root) = root {
                // A root that came along was counted on the way to it.
                line.between -= usize::from(root.fingerprint == one.fingerprint && line.between > 0);
                line.root = Some(root.clone());
                break;
            }
            current = rest
                .iter()
                .position(|above| above.is_issuer_of(one))
                // With a wrong key identifier it is still the issuer for rustls and Go.
                .or_else(|| rest.iter().position(|above| above.subject == one.issuer))
                .map(|index| rest.remove(index));
            line.between += usize::from(current.is_some());
            if current.is_none() {
                line.dead_end = Some(one.clone());
            }
        }
        line
    }

    /// What is missing at its end.
    fn missing(&self) -> Option<Finding> {
        let last = self.dead_end.as_ref()?;
        Some(if last.is_self_issued {
            Finding::RootUnknown {
                subject: last.subject.clone(),
            }
        } else {
            Finding::Incomplete {
                issuer: last.issuer.clone(),
            }
        })
    }

    /// Whether the root permits the CA certificates below it.
    pub(super) fn too_long(&self) -> Option<Finding> {
        let root = self.root.as_ref()?;
        let most = usize::try_from(root.path_length?).ok()?;
        (self.between > most).then(|| Finding::PathLength {
            subject: root.subject.clone(),
        })
    }
}

/// The certificates whose authority key identifier fits none of those that have the issuer's name:
/// verifiers that look for issuers by it find none.
pub(super) fn key_id_mismatches(chain: &[Inspected], roots: &[Inspected]) -> Vec<Finding> {
    let fits = |above: &Inspected, below: &Inspected| {
        above.is_issuer_of(below)
            && (below.authority_serial.as_ref()).is_none_or(|serial| *serial == above.serial)
    };
    let is_mismatch = |below: &&Inspected| {
        let all = || chain.iter().chain(roots);
        let mut named = all().filter(|above| above.subject == below.issuer).peekable();
        !below.is_self_issued && named.peek().is_some() && !named.any(|above| fits(above, below))
    };
    let told = |below: &Inspected| Finding::KeyIdMismatch {
        subject: display_name(below),
        issuer: below.issuer.clone(),
    };
    chain.iter().filter(is_mismatch).map(told).collect()
}

/// The trusted certificate at the end of the line, when it is no root and no root is trusted above it.
pub(super) fn partial(line: &Line, roots: &[Inspected]) -> Option<Finding> {
    let end = line.root.as_ref().filter(|_| !roots.is_empty())?;
    let has_root = roots.iter().any(|one| {
        one.is_self_issued && one.subject == end.subject && one.public_key_info == end.public_key_info
    });
    if has_root {
        return None;
    }
    let mut current = end;
    for _ in 0..=roots.len() {
        if current.is_self_issued {
            return None;
        }
        match roots.iter().find(|above| above.is_issuer_of(current)) {
            Some(above) => current = above,
            None => break,
        }
    }
    Some(Finding::NotARoot {
        subject: end.subject.clone(),
    })
}

/// Signatures, dates, usage and constraints of the whole path. What `said` has
/// already is left out, and what it hides is looked for without the verifier.
pub(super) fn check(
    chain_pem: &str,
    chain: &[Inspected],
    roots_pem: Option<&str>,
    line: &Line,
    said: &[Finding],
    now: OffsetDateTime,
) -> Option<Finding> {
    let ders = pem::certificates(chain_pem).ok()?;
    let (leaf, above) = ders.split_first()?;
    let first = chain.first()?;
    let checked = match roots_pem {
        Some(roots) => match pem::certificates(roots) {
            Ok(roots) => verify::path(leaf, above, &roots, now),
            // There is no CA on this machine at all.
            Err(pem::Error::NoCertificate(_)) => Err(verify::Error::UnknownIssuer),
            Err(error) => Err(verify::Error::RootsPem(error)),
        },
        None => match above.split_last() {
            None if first.is_ca => return None,
            // Nothing above the server certificate and nothing to compare with:
            // a public CA's intermediate was forgotten, or a private root left out
            // on purpose.
            None => {
                let issuer = first.issuer.clone();
                return Some(if first.has_issuer_url {
                    Finding::Incomplete { issuer }
                } else {
                    Finding::IssuerUnknown { issuer }
                });
            }
            Some((last, between)) => verify::path(leaf, between, std::slice::from_ref(last), now),
        },
    };
    let is_said = |what: fn(&Finding) -> bool| said.iter().any(what);
    if let Some(limit) = checked
        .as_ref()
        .err()
        .and_then(|error| Limit::behind(error, chain, line))
    {
        return Some(Finding::Limit(limit));
    }
    match checked {
        Ok(()) => None,
        Err(verify::Error::UnknownIssuer) => Some(line.missing().unwrap_or_else(|| Finding::Incomplete {
            issuer: chain.last().unwrap_or(first).issuer.clone(),
        })),
        // The verifier looks at the first certificate before it looks for its issuer.
        Err(verify::Error::AuthorityAsServer) if is_said(|one| *one == Finding::AuthorityFirst) => {
            line.missing()
        }
        Err(verify::Error::Purpose(_)) if is_said(|one| *one == Finding::Usage) => line.missing(),
        Err(verify::Error::Algorithm(_)) if is_said(|one| matches!(one, Finding::WeakSignature { .. })) => {
            None
        }
        // A key that is too short verifies nothing.
        Err(verify::Error::BadSignature) if is_said(|one| matches!(one, Finding::WeakKey { .. })) => None,
        Err(error @ verify::Error::Expired { .. }) => Some(expired(chain, line, &error, now)),
        // What the library says of algorithms is bytes.
        Err(error @ verify::Error::Algorithm(_)) => Some(Finding::Path(error.to_string())),
        Err(error) => Some(Finding::Path(whole_text(&error))),
    }
}

fn expired(chain: &[Inspected], line: &Line, error: &verify::Error, now: OffsetDateTime) -> Finding {
    let is_below = |one: &&Inspected| {
        let root = line.root.as_ref();
        root.is_none_or(|root| root.fingerprint != one.fingerprint)
    };
    let is_alive = chain.iter().filter(is_below).all(|one| one.not_after >= now);
    match &line.root {
        Some(root) if is_alive => Finding::RootExpired {
            subject: root.subject.clone(),
            at: root.not_after,
        },
        _ => Finding::Path(whole_text(error)),
    }
}

/// The CAs' certificates above the first, and the root, each once.
pub(super) fn authorities<'a>(chain: &'a [Inspected], line: &'a Line) -> Vec<&'a Inspected> {
    let mut found: Vec<&Inspected> = Vec::new();
    let root = line.root.iter().filter(|root| {
        let first = chain.first();
        first.is_none_or(|first| first.fingerprint != root.fingerprint)
    });
    for one in chain.iter().skip(1).chain(root).filter(|one| one.is_ca) {
        if found.iter().all(|other| other.fingerprint != one.fingerprint) {
            found.push(one);
        }
    }
    found
}

/// Keys and signatures that can be broken: of the server, of its chain and of
/// the root. What a root signs itself with, nobody looks at.
pub(super) fn weaknesses(chain: &[Inspected], line: &Line) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut all: Vec<&Inspected> = chain.first().into_iter().collect();
    all.extend(authorities(chain, line));
    for one in all {
        if is_weak(&one.key) {
            findings.push(Finding::WeakKey {
                subject: display_name(one),
                key: one.key.clone(),
            });
        }
        if !one.is_self_issued && inspect::is_weak_signature(&one.signature) {
            findings.push(Finding::WeakSignature {
                subject: display_name(one),
                algorithm: one.signature.clone(),
            });
        }
    }
    findings
}

/// Whether verifiers take the key for one that can be broken.
pub(super) fn is_weak(key: &inspect::KeyKind) -> bool {
    matches!(key, inspect::KeyKind::Rsa(bits) if *bits < RSA_BITS_MIN)
}

/// NIST SP 800-131A allows nothing shorter, and neither does ring.
const RSA_BITS_MIN: usize = 2048;

/// What people know a certificate by.
pub(super) fn display_name(certificate: &Inspected) -> String {
    if certificate.subject.is_empty() {
        certificate.names.first().cloned().unwrap_or_default()
    } else {
        certificate.subject.clone()
    }
}
