//! Private keys in the one form that all servers and controllers read: PKCS#8 (RFC 5208). Older
//! ones are SEC1, as `openssl ecparam` writes it, and PKCS#1, both the default of cert-manager.

use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use crate::inspect::KeyKind;

/// `id-ecPublicKey` with `secp256r1` (RFC 5480 section 2.1.1).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
/// The same with `secp384r1`.
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];
/// `rsaEncryption` (RFC 3279 section 2.3.1).
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const VERSION_0: &[u8] = &[0x02, 0x01, 0x00];
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The object identifiers of the two curves, as a SEC1 key names its own (RFC 5915 section 3).
const CURVES: [(&[u8], KeyKind); 2] = [
    (
        &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        KeyKind::P256,
    ),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], KeyKind::P384),
];
/// Tag of the parameters in a SEC1 key.
const PARAMETERS: u8 = 0xa0;

/// The key as PKCS#8, when it is not that already and what it is for is known: by `kind`, which the
/// certificate says of its key, or else by the key itself.
pub(crate) fn convert(key: &PrivateKeyDer<'_>, kind: Option<&KeyKind>) -> Option<Zeroizing<Vec<u8>>> {
    match key {
        PrivateKeyDer::Pkcs1(inner) if kind.is_none_or(|kind| matches!(kind, KeyKind::Rsa(_))) => {
            Some(wrap(RSA, inner.secret_pkcs1_der()))
        }
        PrivateKeyDer::Sec1(inner) => {
            let der = inner.secret_sec1_der();
            match kind.cloned().or_else(|| curve(der))? {
                KeyKind::P256 => Some(wrap(P256, der)),
                KeyKind::P384 => Some(wrap(P384, der)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The curve that a SEC1 key names.
fn curve(sec1: &[u8]) -> Option<KeyKind> {
    let names = |identifier: &[u8]| {
        // A context tag with one byte of length, then the identifier.
        let length = u8::try_from(identifier.len()).unwrap_or_default();
        let field = [&[PARAMETERS, length], identifier].concat();
        sec1.windows(field.len()).any(|window| window == field)
    };
    let found = CURVES.into_iter().find(|(identifier, _)| names(identifier));
    found.map(|(_, kind)| kind)
}

/// PrivateKeyInfo of RFC 5208 section 5.
fn wrap(algorithm: &[u8], inner: &[u8]) -> Zeroizing<Vec<u8>> {
    element(
        SEQUENCE,
        &[VERSION_0, algorithm, &element(OCTET_STRING, &[inner])],
    )
}

/// One element of DER around the parts.
fn element(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // Room for all of it, so that no copy stays behind in memory that was given up.
    let mut whole = Zeroizing::new(Vec::with_capacity(length + 2 + size_of::<usize>()));
    whole.push(tag);
    let bytes = length.to_be_bytes();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => whole.push(short),
        _ => {
            let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
            // At most 8 bytes.
            whole.push(0x80 | u8::try_from(bytes.len() - skipped).unwrap_or_default());
            whole.extend_from_slice(&bytes[skipped..]);
        }
    }
    for part in parts {
        whole.extend_from_slice(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_short_as_they_can_be() {
        let header = |length: usize| element(OCTET_STRING, &[&vec![7; length]])[..4].to_vec();
        assert_eq!(header(5), [4, 5, 7, 7]);
        assert_eq!(header(127)[..2], [4, 127]);
        assert_eq!(header(128)[..3], [4, 0x81, 128]);
        assert_eq!(header(300), [4, 0x82, 1, 44]);
    }
}
