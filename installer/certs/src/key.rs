//! Private keys of server certificates: which kinds there are, and how one
//! comes into being. A CA's key is never one of these.

use std::fmt;
use std::str::FromStr;

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm, SubjectPublicKeyInfo,
};
use zeroize::Zeroizing;

use crate::inspect::{self, KeyKind};
use crate::pem;
use crate::secret::PrivateKeyPem;

/// Kind of key that a server certificate can be asked for.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum KeyType {
    /// NIST P-256: small, quick, accepted everywhere.
    #[default]
    P256,
    /// NIST P-384, where a policy asks for it.
    P384,
    /// RSA with 2048 bits, for clients and load balancers that know no ECDSA.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits; each handshake costs the server milliseconds.
    Rsa4096,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::P256,
        Self::P384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
    ];

    /// Its name on command lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }

    /// The type that gives keys of this kind, when there is one.
    pub fn of(kind: &KeyKind) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.kind() == *kind)
    }

    /// The kind of the keys it gives, as certificates name it.
    pub const fn kind(self) -> KeyKind {
        match self {
            Self::P256 => KeyKind::P256,
            Self::P384 => KeyKind::P384,
            Self::Rsa2048 => KeyKind::Rsa(2048),
            Self::Rsa3072 => KeyKind::Rsa(3072),
            Self::Rsa4096 => KeyKind::Rsa(4096),
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text names no key type.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnknownKeyType {
    /// A type that verifiers of the SDKs know and that others do not.
    #[error(
        "Ed25519 certificates are refused by browsers and by most load balancers and ingress controllers; \
         use p256, which is as small and as quick"
    )]
    Ed25519,
    /// The TLS library of the E2B SDK cannot verify it.
    #[error("P-521 certificates are refused by clients built on ring, such as many in Rust; use p384")]
    P521,
    /// Anything else.
    #[error("{0:?} is no key type; p256, p384, rsa2048, rsa3072 and rsa4096 are")]
    Other(String),
}

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(text: &str) -> Result<Self, UnknownKeyType> {
        let plain = text.to_ascii_lowercase().replace(['-', '_'], "");
        let named = Self::ALL.into_iter().find(|one| one.as_str() == plain);
        named.ok_or_else(|| match plain.as_str() {
            "ed25519" => UnknownKeyType::Ed25519,
            "p521" => UnknownKeyType::P521,
            _ => UnknownKeyType::Other(text.to_owned()),
        })
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's random numbers or the library failed.
    #[error("failed to make a key of type {kind}")]
    Generate {
        /// What was asked for.
        kind: KeyType,
        /// What the library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The build has no code that makes RSA keys.
    #[error("this program cannot make RSA keys")]
    NoRsa,
    /// The key is not the PEM it should be.
    #[error("failed to read the server key")]
    Pem(#[source] pem::Error),
    /// The key is of a kind that servers here cannot use.
    #[error("failed to load the server key (RSA, P-256, P-384 and Ed25519 are supported)")]
    Kind(#[source] rustls::Error),
    /// The key has no public part that could be certified.
    #[error("failed to find the public key of the server key")]
    Public,
}

/// The private key that a server certificate is made for.
#[derive(Clone)]
pub struct ServerKey {
    pem: PrivateKeyPem,
    public: Vec<u8>,
    kind: KeyKind,
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKey({})", self.kind)
    }
}

impl ServerKey {
    /// A new key of the type. RSA takes the feature `rsa`, and up to seconds.
    pub fn generate(kind: KeyType) -> Result<Self, Error> {
        match kind {
            KeyType::P256 => Self::p256(),
            KeyType::P384 => Self::p384(),
            KeyType::Rsa2048 => Self::rsa(kind, 2048),
            KeyType::Rsa3072 => Self::rsa(kind, 3072),
            KeyType::Rsa4096 => Self::rsa(kind, 4096),
        }
    }

    /// A new key of the usual type.
    pub fn p256() -> Result<Self, Error> {
        Self::elliptic(KeyType::P256, &PKCS_ECDSA_P256_SHA256)
    }

    fn p384() -> Result<Self, Error> {
        Self::elliptic(KeyType::P384, &PKCS_ECDSA_P384_SHA384)
    }

    /// The key for the certificate that follows one with this key: a new one of
    /// the same kind. An RSA key is used again: whoever renews by itself is a
    /// server, and code that searches for large primes has no place in it.
    pub fn for_renewal(former: &str) -> Result<Self, Error> {
        let former = Self::load(&PrivateKeyPem::parse(former).map_err(Error::Pem)?)?;
        match former.kind {
            KeyKind::P384 => Self::p384(),
            KeyKind::Rsa(_) => Ok(former),
            _ => Self::p256(),
        }
    }

    /// A key that exists, in any form that a server takes.
    pub fn load(pem: &PrivateKeyPem) -> Result<Self, Error> {
        let der = pem.to_der().map_err(Error::Pem)?;
        let loaded = rustls::crypto::ring::sign::any_supported_type(&der).map_err(Error::Kind)?;
        let public = loaded.public_key().ok_or(Error::Public)?.to_vec();
        let kind = inspect::kind_of_key(&public).ok_or(Error::Public)?;
        Ok(Self {
            pem: pem.clone(),
            public,
            kind,
        })
    }

    /// The key as text.
    pub fn pem(&self) -> &PrivateKeyPem {
        &self.pem
    }

    /// What kind it is of.
    pub fn kind(&self) -> &KeyKind {
        &self.kind
    }

    /// Its public part in the form that certificates are made with.
    pub(crate) fn public(&self) -> Result<SubjectPublicKeyInfo, rcgen::Error> {
        SubjectPublicKeyInfo::from_der(&self.public)
    }

    fn elliptic(kind: KeyType, algorithm: &'static SignatureAlgorithm) -> Result<Self, Error> {
        let pair = KeyPair::generate_for(algorithm).map(Zeroizing::new);
        let pair = pair.map_err(|source| Error::Generate {
            kind,
            source: Box::new(source),
        })?;
        Self::load(&PrivateKeyPem::from_pkcs8(pair.serialized_der()))
    }

    #[cfg(feature = "rsa")]
    fn rsa(kind: KeyType, bits: usize) -> Result<Self, Error> {
        use rsa::pkcs8::EncodePrivateKey as _;

        let failed = |source| Error::Generate { kind, source };
        let key =
            rsa::PrivateKey::new(&mut rand::rngs::SysRng, bits).map_err(|error| failed(Box::new(error)))?;
        let der = key.to_pkcs8_der().map_err(|error| failed(Box::new(error)))?;
        // Loading has the second library check what the first has made.
        Self::load(&PrivateKeyPem::from_pkcs8(der.as_bytes()))
    }

    #[cfg(not(feature = "rsa"))]
    fn rsa(_: KeyType, _: usize) -> Result<Self, Error> {
        Err(Error::NoRsa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_usual_spellings() {
        for one in KeyType::ALL {
            assert_eq!(one.to_string().parse(), Ok(one));
            assert_eq!(KeyType::of(&one.kind()), Some(one));
        }
        assert_eq!("P-384".parse(), Ok(KeyType::P384));
        assert_eq!("RSA-2048".parse(), Ok(KeyType::Rsa2048));
    }

    #[test]
    fn refused_types_come_with_a_reason() {
        let refused = |text: &str| text.parse::<KeyType>().unwrap_err();
        assert!(refused("Ed25519").to_string().contains("load balancers"));
        assert_eq!(refused("P-521"), UnknownKeyType::P521);
        assert!(matches!(refused("rsa1024"), UnknownKeyType::Other(_)));
    }

    #[test]
    fn renewal_keeps_the_kind_and_only_rsa_keeps_the_key() {
        for (kind, is_kept) in [
            (KeyType::P256, false),
            (KeyType::P384, false),
            (KeyType::Rsa2048, true),
        ] {
            let former = ServerKey::generate(kind).unwrap();
            let renewed = ServerKey::for_renewal(former.pem().expose()).unwrap();
            assert_eq!(*renewed.kind(), kind.kind());
            assert_eq!(renewed.pem() == former.pem(), is_kept, "{kind}");
        }
    }

    #[test]
    fn debug_shows_the_kind_only() {
        let key = ServerKey::p256().unwrap();
        assert_eq!(format!("{key:?}"), "ServerKey(ECDSA P-256)");
    }
}
