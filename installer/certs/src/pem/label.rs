//! What a section of PEM text says that it holds.

use std::fmt;

/// The label between the dashes of a BEGIN line. Never the words of the input: in a damaged file
/// they may be those of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Label {
    /// A certificate, also under OpenSSL's old name for it.
    Certificate,
    /// A certificate with OpenSSL's own notes behind it.
    TrustedCertificate,
    /// A private key of any kind (PKCS#8).
    PrivateKey,
    /// A private key for an elliptic curve (SEC1).
    EcPrivateKey,
    /// A private key for RSA (PKCS#1).
    RsaPrivateKey,
    /// A private key behind a password (PKCS#8).
    EncryptedPrivateKey,
    /// A private key in the form of OpenSSH.
    OpenSshPrivateKey,
    /// A private key for DSA, which TLS no longer knows.
    DsaPrivateKey,
    /// The name of a curve, which `openssl ecparam -genkey` writes in front of a key.
    EcParameters,
    /// A bundle of certificates in PKCS#7.
    Pkcs7,
    /// A request for a certificate.
    Request,
    /// A public key.
    PublicKey,
    /// A list of revoked certificates.
    RevocationList,
    /// Anything else.
    Unknown,
}

/// Labels as RFC 7468 and OpenSSL (`pem.h`) write them.
const NAMES: &[(&str, Label)] = &[
    ("CERTIFICATE", Label::Certificate),
    ("X509 CERTIFICATE", Label::Certificate),
    ("X.509 CERTIFICATE", Label::Certificate),
    ("TRUSTED CERTIFICATE", Label::TrustedCertificate),
    ("PRIVATE KEY", Label::PrivateKey),
    ("EC PRIVATE KEY", Label::EcPrivateKey),
    ("RSA PRIVATE KEY", Label::RsaPrivateKey),
    ("ENCRYPTED PRIVATE KEY", Label::EncryptedPrivateKey),
    ("OPENSSH PRIVATE KEY", Label::OpenSshPrivateKey),
    ("DSA PRIVATE KEY", Label::DsaPrivateKey),
    ("EC PARAMETERS", Label::EcParameters),
    ("PKCS7", Label::Pkcs7),
    ("PKCS #7 SIGNED DATA", Label::Pkcs7),
    ("CMS", Label::Pkcs7),
    ("CERTIFICATE REQUEST", Label::Request),
    ("NEW CERTIFICATE REQUEST", Label::Request),
    ("PUBLIC KEY", Label::PublicKey),
    ("RSA PUBLIC KEY", Label::PublicKey),
    ("X509 CRL", Label::RevocationList),
];

impl Label {
    /// The label of these words.
    pub(super) fn of(words: &str) -> Self {
        let known = NAMES.iter().find(|(name, _)| *name == words);
        known.map_or(Self::Unknown, |(_, label)| *label)
    }

    /// The words of a BEGIN line.
    pub(super) fn name(self) -> &'static str {
        let known = NAMES.iter().find(|(_, label)| *label == self);
        known.map_or("(unknown label)", |(name, _)| name)
    }

    /// Whether it is a private key that is read here, encrypted or not.
    pub(super) const fn is_private_key(self) -> bool {
        matches!(
            self,
            Self::PrivateKey | Self::EcPrivateKey | Self::RsaPrivateKey | Self::EncryptedPrivateKey
        )
    }

    /// What makes it usable here, when something does.
    pub(super) const fn conversion(self) -> Option<&'static str> {
        match self {
            Self::Pkcs7 => Some("convert it with `openssl pkcs7 -print_certs -in FILE -out PEM`"),
            Self::Request => Some("it is a request: give the certificate that the CA has made of it"),
            Self::OpenSshPrivateKey => Some("convert a copy of it with `ssh-keygen -p -m PKCS8 -f COPY`"),
            _ => None,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_input_are_never_shown() {
        assert_eq!(Label::of("MIIEvQIBADANBg").to_string(), "(unknown label)");
        assert_eq!(Label::of("X509 CERTIFICATE").to_string(), "CERTIFICATE");
        for (name, label) in NAMES {
            assert_eq!(Label::of(name), *label);
        }
    }
}
