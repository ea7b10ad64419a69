//! Keys in the forms that are older than PKCS#8: SEC1, as `openssl ecparam` writes it,
//! and PKCS#1, both the default of cert-manager. Who signs reads PKCS#8 only.

use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use super::Error;
use crate::{inspect::KeyKind, secret::PrivateKeyPem};

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

/// The key in PKCS#8; one that is in this form already stays as it is. `kind` is what
/// the certificate says of its key: whether the two belong together is not looked at.
pub(super) fn as_pkcs8(key: PrivateKeyPem, kind: &KeyKind) -> Result<PrivateKeyPem, Error> {
    let der = key.to_der().map_err(Error::KeyPem)?;
    let (algorithm, inner) = match (&*der, kind) {
        (PrivateKeyDer::Sec1(inner), KeyKind::P256) => (P256, inner.secret_sec1_der()),
        (PrivateKeyDer::Sec1(inner), KeyKind::P384) => (P384, inner.secret_sec1_der()),
        (PrivateKeyDer::Pkcs1(inner), KeyKind::Rsa(_)) => (RSA, inner.secret_pkcs1_der()),
        (PrivateKeyDer::Sec1(_), _) => return Err(Error::KeyForm { form: "in SEC1 form" }),
        (PrivateKeyDer::Pkcs1(_), _) => {
            return Err(Error::KeyForm {
                form: "in PKCS#1 form",
            });
        }
        _ => return Ok(key),
    };
    // PrivateKeyInfo of RFC 5208 section 5.
    let wrapped = element(
        SEQUENCE,
        &[VERSION_0, algorithm, &element(OCTET_STRING, &[inner])],
    );
    Ok(PrivateKeyPem::from_pkcs8(&wrapped))
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
