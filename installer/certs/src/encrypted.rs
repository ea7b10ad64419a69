//! Opens private keys that are encrypted with a password: PKCS#8 (RFC 5958
//! section 3) with PBES2 (RFC 8018 section 6.2), which is what OpenSSL writes.
//!
//! The file says how much work its opening is, so the work is limited before any
//! of it is done.

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode as _, Reader as _, SliceReader};
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};

use crate::pem::Error;

/// Rounds of PBKDF2 that a key may ask for, seconds of work. OpenSSL writes 2,048,
/// and OWASP advises 600,000 of SHA-256.
const ROUNDS_MAX: u32 = 5_000_000;
/// Memory that scrypt may take, in bytes. OpenSSL writes parameters for 16 MiB.
const MEMORY_MAX: u128 = 256 << 20;
/// How often scrypt may go through its memory.
const PASSES_MAX: u16 = 16;

/// Decrypts an `EncryptedPrivateKeyInfo` into a PKCS#8 key, both in DER.
pub(crate) fn open(der: &[u8], password: &[u8]) -> Result<SecretDocument, Error> {
    let sealed = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| {
        if is_well_formed(der) {
            Error::foreign_encryption()
        } else {
            Error::Sealed
        }
    })?;
    let parameters = sealed
        .encryption_algorithm
        .pbes2()
        .ok_or_else(Error::foreign_encryption)?;
    check_work(parameters)?;
    sealed.decrypt(password).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. },
        ) => Error::foreign_encryption(),
        // A wrong key gives wrong padding or, by chance, bytes that are no key.
        _ => Error::WrongPassword,
    })
}

/// Whether it is some algorithm with encrypted data, known or not.
fn is_well_formed(der: &[u8]) -> bool {
    let parts = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|reader| {
            AlgorithmIdentifierRef::decode(reader)?;
            <&OctetStringRef>::decode(reader).map(|_| ())
        })
    });
    parts.is_ok()
}

fn check_work(parameters: &Parameters) -> Result<(), Error> {
    let is_bounded = match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => (1..=ROUNDS_MAX).contains(&kdf.iteration_count),
        Kdf::Scrypt(kdf) => {
            let memory = u128::from(kdf.cost_parameter) * u128::from(kdf.block_size) * 128;
            // RFC 7914 section 2: N is a power of 2 above 1.
            kdf.cost_parameter > 1
                && kdf.cost_parameter.is_power_of_two()
                && (1..=MEMORY_MAX).contains(&memory)
                && (1..=PASSES_MAX).contains(&kdf.parallelization)
        }
        _ => return Err(Error::foreign_encryption()),
    };
    if is_bounded {
        Ok(())
    } else {
        Err(Error::TooMuchWork)
    }
}

#[cfg(test)]
mod tests {
    use pkcs8::pkcs5::pbes2::{EncryptionScheme, Pbkdf2Params, ScryptParams};
    use pkcs8::pkcs5::scrypt;

    use super::*;

    fn check(kdf: impl Into<Kdf>) -> Result<(), Error> {
        check_work(&Parameters {
            kdf: kdf.into(),
            encryption: EncryptionScheme::Aes256Cbc { iv: [0; 16] },
        })
    }

    #[test]
    fn rounds_are_limited_in_both_directions() {
        let rounds = |count| {
            let mut kdf = Pbkdf2Params::hmac_sha256(1, &[0; 8]).unwrap();
            kdf.iteration_count = count;
            check(kdf)
        };
        assert_eq!((rounds(1), rounds(600_000)), (Ok(()), Ok(())));
        for count in [0, ROUNDS_MAX + 1, u32::MAX] {
            assert_eq!(rounds(count), Err(Error::TooMuchWork), "{count}");
        }
    }

    #[test]
    fn memory_and_passes_are_limited() {
        let scrypt = |cost, block, passes| {
            let usual = scrypt::Params::new(14, 8, 1).unwrap();
            let mut kdf = ScryptParams::from_params_and_salt(usual, &[0; 8]).unwrap();
            (kdf.cost_parameter, kdf.block_size, kdf.parallelization) = (cost, block, passes);
            check(kdf)
        };
        assert_eq!((scrypt(1 << 14, 8, 1), scrypt(1 << 18, 8, 16)), (Ok(()), Ok(())));
        for (cost, block, passes) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (1 << 19, 8, 1),
            (1 << 14, u16::MAX, 1),
            (1 << 14, 8, 17),
            (1 << 14, 0, 1),
            (1 << 14, 8, 0),
        ] {
            assert_eq!(
                scrypt(cost, block, passes),
                Err(Error::TooMuchWork),
                "{cost} {block} {passes}"
            );
        }
    }
}
