//! Signature algorithms by their object identifiers.

/// Identifier, name, and whether collisions of its digest can be made.
const KNOWN: [(&str, &str, bool); 14] = [
    ("1.2.840.113549.1.1.2", "md2WithRSAEncryption", true),
    ("1.2.840.113549.1.1.3", "md4WithRSAEncryption", true),
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption", true),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption", true),
    ("1.3.14.3.2.29", "sha1WithRSA", true),
    ("1.2.840.10040.4.3", "dsaWithSHA1", true),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1", true),
    ("1.2.840.113549.1.1.10", "rsassaPss", false),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption", false),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption", false),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption", false),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256", false),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384", false),
    ("1.3.101.112", "ED25519", false),
];

/// Its name, or the identifier again.
pub(super) fn name(identifier: &str) -> String {
    let known = KNOWN.iter().find(|(one, ..)| *one == identifier);
    known.map_or(identifier, |(_, name, _)| name).to_owned()
}

/// Whether a signature of this name could have been made for another certificate.
pub(crate) fn is_weak(name: &str) -> bool {
    KNOWN.iter().any(|(_, one, is_weak)| *one == name && *is_weak)
}
