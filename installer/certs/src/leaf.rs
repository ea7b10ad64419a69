//! What a server certificate is asked for and what comes out. The building
//! itself is [`Authority::issue`](crate::authority::Authority::issue).

use std::fmt;

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, SanType};
use time::{Duration, OffsetDateTime};

use crate::inspect::KeyKind;
use crate::key;
use crate::names;
use crate::profile::{self, LEAF_VALIDITY, LEAF_VALIDITY_MAX, LEAF_VALIDITY_NOTICE, NOT_BEFORE_MARGIN};
use crate::secret::PrivateKeyPem;
use crate::verify;

/// Why no server certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request has no name.
    #[error("a server certificate needs at least one name")]
    NoNames,
    /// A name is not a DNS name.
    #[error("failed to accept a name")]
    Name(#[from] names::Error),
    /// The CA's name constraints exclude a name.
    #[error("the CA does not permit {name:?}; it permits {permitted:?} and what is below")]
    NotPermitted {
        /// The name.
        name: String,
        /// The permitted subtrees.
        permitted: Vec<String>,
    },
    /// The life asked for is not positive or too long.
    #[error("a server certificate must live between a minute and 825 days, not {asked}")]
    Validity {
        /// The life asked for.
        asked: Duration,
    },
    /// The CA is expired or not yet valid.
    #[error("the CA is valid from {not_before} to {not_after}, not at {now}")]
    AuthorityNotValid {
        /// Start of the CA's life.
        not_before: OffsetDateTime,
        /// End of the CA's life.
        not_after: OffsetDateTime,
        /// The moment of issuing.
        now: OffsetDateTime,
    },
    /// There is no key to certify.
    #[error(transparent)]
    Key(#[from] key::Error),
    /// The key or the signature could not be made.
    #[error("failed to {step}")]
    Sign {
        /// What was being made.
        step: &'static str,
        /// What the library said.
        #[source]
        source: rcgen::Error,
    },
    /// The CA's certificate has a form from which no valid chain can be made.
    #[error("failed to verify the certificate just issued")]
    SelfCheck(#[from] verify::Error),
}

/// What is wanted of a server certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeafRequest {
    /// DNS names, wildcards included; see [`names::server_names`].
    pub names: Vec<String>,
    /// How long it lives from now on: more than a minute, at most 825 days. The
    /// end of the CA's life cuts it.
    pub validity: Duration,
}

impl LeafRequest {
    /// A request with the default life of 90 days.
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            validity: LEAF_VALIDITY,
        }
    }
}

/// Something about the life of a certificate that was just issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// It lives longer than any public certificate may.
    Long,
    /// The end of its CA ends it before the time that was asked for.
    Cut {
        /// Its last moment.
        not_after: OffsetDateTime,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(
                f,
                "the certificate lives longer than {} days, which no public one may and some clients refuse; \
                 a shorter life limits what a stolen key is good for",
                LEAF_VALIDITY_NOTICE.whole_days()
            ),
            Self::Cut { not_after } => write!(
                f,
                "the certificate ends with its CA, on {}, sooner than asked for: the CA should be replaced",
                not_after.date()
            ),
        }
    }
}

/// A server certificate with its own new key.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub(crate) chain_pem: String,
    pub(crate) key: PrivateKeyPem,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
}

impl Leaf {
    /// What a server sends: the certificate and, once [`Leaf::with_cross`] was
    /// used, the cross certificate. Never the root: clients have it.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Its private key.
    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key
    }

    /// Start of its life.
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// End of its life.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// What whoever asked for a life of this length should know of it.
    pub fn notices(&self, asked: Duration, now: OffsetDateTime) -> Vec<Notice> {
        let mut notices = Vec::new();
        let life = self.not_after - now;
        if life > LEAF_VALIDITY_NOTICE {
            notices.push(Notice::Long);
        }
        // The longest life is shortened by the hour for late clocks.
        if asked - life > NOT_BEFORE_MARGIN + Duration::MINUTE {
            notices.push(Notice::Cut {
                not_after: self.not_after,
            });
        }
        notices
    }

    /// Adds a cross certificate (see
    /// [`Authority::cross_certify`](crate::authority::Authority::cross_certify)) to the chain, so that
    /// clients that know only the former CA accept it during a rotation.
    #[must_use]
    pub fn with_cross(mut self, cross_pem: &str) -> Self {
        self.chain_pem.push_str(cross_pem);
        self
    }
}

/// The names of the request, checked, in their order, without repeats.
pub(crate) fn accepted_names(request: &LeafRequest) -> Result<Vec<String>, Error> {
    let mut accepted: Vec<String> = Vec::with_capacity(request.names.len());
    for name in &request.names {
        let name = names::parse(name)?;
        if !accepted.contains(&name) {
            accepted.push(name);
        }
    }
    if accepted.is_empty() {
        return Err(Error::NoNames);
    }
    Ok(accepted)
}

/// Start and end of the life: an hour back for late clocks, never outside of
/// the CA's own life, and with that hour never over the 825 days.
pub(crate) fn lifetime(
    asked: Duration,
    authority: (OffsetDateTime, OffsetDateTime),
    now: OffsetDateTime,
) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    if asked < Duration::MINUTE || asked > LEAF_VALIDITY_MAX {
        return Err(Error::Validity { asked });
    }
    let (ca_start, ca_end) = authority;
    if now < ca_start || now >= ca_end {
        return Err(Error::AuthorityNotValid {
            not_before: ca_start,
            not_after: ca_end,
            now,
        });
    }
    let now = profile::whole_second(now);
    let not_before = (now - NOT_BEFORE_MARGIN).max(ca_start);
    // Both ends count (RFC 5280 section 4.1.2.5), hence the second.
    let longest = not_before + LEAF_VALIDITY_MAX - Duration::SECOND;
    Ok((not_before, (now + asked).min(longest).min(ca_end)))
}

/// The profile of a server certificate. Every field is set here, none is left
/// to the library's defaults.
pub(crate) fn parameters(
    names: &[String],
    lifetime: (OffsetDateTime, OffsetDateTime),
    key: &KeyKind,
) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    (parameters.not_before, parameters.not_after) = lifetime;
    parameters.serial_number = Some(profile::serial_number());
    // An empty subject makes the library mark the names critical
    // (RFC 5280 section 4.1.2.6).
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.subject_alt_names = names
        .iter()
        .map(|name| Ia5String::try_from(name.as_str()).map(SanType::DnsName))
        .collect::<Result<_, _>>()?;
    // `NoCa` would write neither basic constraints nor a key identifier.
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if matches!(key, KeyKind::Rsa(_)) {
        // The key exchange of TLS 1.2 that encrypts to the server's key: RSA only.
        parameters.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.name_constraints = None;
    parameters.crl_distribution_points = Vec::new();
    parameters.custom_extensions = Vec::new();
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_identifier_method = KeyIdMethod::Sha256;
    Ok(parameters)
}
