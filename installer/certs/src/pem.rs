//! PEM text (RFC 7468) in and out, with errors that say what was found.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::pem::{self as rfc7468, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEYS: [&str; 3] = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];
const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";
/// What `openssl ecparam -genkey` writes in front of the key.
const EC_PARAMETERS: &str = "EC PARAMETERS";

/// Why PEM text is not what it should be.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// No certificate in the text.
    #[error("no certificate found (a CERTIFICATE section is needed)")]
    NoCertificate,
    /// No private key in the text.
    #[error("no private key found (a PRIVATE KEY section is needed)")]
    NoPrivateKey,
    /// More than one private key.
    #[error("found {count} private keys where exactly one is needed")]
    SeveralPrivateKeys {
        /// How many there are.
        count: usize,
    },
    /// The key is encrypted, and there is no password.
    #[error("the private key is encrypted; remove the password with `openssl pkey -in KEY -out PLAIN`")]
    Encrypted,
    /// The password is not the key's.
    #[error("the password does not open the private key")]
    WrongPassword,
    /// The key is encrypted in a form that is not read here, with or without password.
    #[error(
        "the private key is encrypted {form}; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW`"
    )]
    ForeignEncryption {
        /// What is special about it.
        form: &'static str,
    },
    /// The key asks for so much work that opening it could be an attack.
    #[error("opening the encrypted private key would take too much time or memory")]
    TooMuchWork,
    /// Sections that do not belong here, such as a key among certificates.
    #[error("found a {found} section among {among}; give certificates and private keys separately")]
    Mixed {
        /// Label of the section.
        found: String,
        /// What the text should hold only.
        among: &'static str,
    },
    /// The text between the markers is damaged.
    #[error("failed to decode PEM: {reason}")]
    Malformed {
        /// What the decoder said.
        reason: String,
    },
}

impl Error {
    /// The encryption is one that nobody opens here.
    #[cfg(feature = "encrypted")]
    pub(crate) const fn foreign_encryption() -> Self {
        Self::ForeignEncryption {
            form: "with an algorithm that is not read here",
        }
    }
}

/// All certificates of the text in their order. Text outside of the sections is
/// ignored, other sections are refused.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    if let Some(other) = labels(text).find(|label| *label != CERTIFICATE) {
        return Err(Error::Mixed {
            found: other.to_owned(),
            among: "the certificates",
        });
    }
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(malformed)?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate);
    }
    Ok(certificates)
}

/// The one private key of the text, which must not be encrypted; overwritten when
/// dropped.
pub fn private_key(text: &str) -> Result<Zeroizing<PrivateKeyDer<'static>>, Error> {
    match form(text)? {
        Form::Plain => PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(malformed),
        Form::Encrypted => Err(Error::Encrypted),
    }
}

/// The one private key of the text as it is encrypted, in DER; `None` when it is
/// not encrypted.
#[cfg(feature = "encrypted")]
pub(crate) fn encrypted_key(text: &str) -> Result<Option<Vec<u8>>, Error> {
    use rustls_pki_types::PrivatePkcs8KeyDer;

    match form(text)? {
        Form::Plain => Ok(None),
        Form::Encrypted => {
            // The decoder looks at the label and not at what is inside.
            let section = text.replace(ENCRYPTED_KEY, PRIVATE_KEYS[0]);
            let der = PrivatePkcs8KeyDer::from_pem_slice(section.as_bytes()).map_err(malformed)?;
            Ok(Some(der.secret_pkcs8_der().to_vec()))
        }
    }
}

/// How a private key is kept.
enum Form {
    Plain,
    Encrypted,
}

/// Looks for exactly one private key and nothing else.
fn form(text: &str) -> Result<Form, Error> {
    let (mut plain, mut encrypted) = (0, 0);
    for label in labels(text) {
        match label {
            ENCRYPTED_KEY => encrypted += 1,
            EC_PARAMETERS => {}
            label if PRIVATE_KEYS.contains(&label) => plain += 1,
            label => {
                return Err(Error::Mixed {
                    found: label.to_owned(),
                    among: "the private key",
                });
            }
        }
    }
    match (plain, encrypted) {
        (0, 0) => Err(Error::NoPrivateKey),
        (1, 0) if is_encrypted_inside(text) => Err(Error::ForeignEncryption {
            form: "in an old form of OpenSSL's (Proc-Type: 4,ENCRYPTED)",
        }),
        (1, 0) => Ok(Form::Plain),
        (0, 1) => Ok(Form::Encrypted),
        (plain, encrypted) => Err(Error::SeveralPrivateKeys {
            count: plain + encrypted,
        }),
    }
}

/// Whether the older form of encryption is used, which keeps the plain label (RFC
/// 1421 section 4.6.1.1).
fn is_encrypted_inside(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
}

/// A certificate as PEM with a line end behind it.
pub fn encode_certificate(der: &[u8]) -> String {
    let mut text = String::new();
    wrap(CERTIFICATE, &STANDARD.encode(der), &mut text);
    text
}

/// Puts markers around base64 and breaks it into lines of 64 characters.
pub(crate) fn wrap(label: &str, base64: &str, into: &mut String) {
    into.push_str("-----BEGIN ");
    into.push_str(label);
    into.push_str("-----\n");
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        into.push_str(line);
        into.push('\n');
        rest = tail;
    }
    into.push_str("-----END ");
    into.push_str(label);
    into.push_str("-----\n");
}

fn labels(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("-----BEGIN ")?.trim_end().strip_suffix("-----"))
}

fn malformed(error: rfc7468::Error) -> Error {
    let reason = match error {
        rfc7468::Error::MissingSectionEnd { .. } => "a section has no END line".to_owned(),
        // The line itself may be key material: it is not repeated.
        rfc7468::Error::IllegalSectionStart { .. } => "a BEGIN line is damaged".to_owned(),
        rfc7468::Error::Base64Decode(_) => "the text between BEGIN and END is not base64".to_owned(),
        other => other.to_string(),
    };
    Error::Malformed { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(label: &str) -> String {
        format!("-----BEGIN {label}-----\nAQID\n-----END {label}-----\n")
    }

    #[test]
    fn certificate_survives_a_round_trip() {
        let der = [9_u8; 200];
        let text = encode_certificate(&der);
        assert_eq!(certificates(&text).unwrap(), [CertificateDer::from(der.to_vec())]);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert!(text.ends_with("-----END CERTIFICATE-----\n"));
    }

    #[test]
    fn windows_line_ends_and_comments_are_accepted() {
        let text = format!("Subject: me\r\n{}", section("CERTIFICATE").replace('\n', "\r\n"));
        assert_eq!(certificates(&text).unwrap().len(), 1);
    }

    #[test]
    fn key_among_certificates_is_refused() {
        let text = section("CERTIFICATE") + &section("PRIVATE KEY");
        assert_eq!(
            certificates(&text).unwrap_err(),
            Error::Mixed {
                found: "PRIVATE KEY".into(),
                among: "the certificates"
            }
        );
        assert_eq!(
            private_key(&text).unwrap_err(),
            Error::Mixed {
                found: "CERTIFICATE".into(),
                among: "the private key"
            }
        );
    }

    #[test]
    fn every_form_of_encryption_is_recognised() {
        assert_eq!(
            private_key(&section("ENCRYPTED PRIVATE KEY")).unwrap_err(),
            Error::Encrypted
        );
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n";
        assert!(matches!(private_key(old), Err(Error::ForeignEncryption { .. })));
        let two = section("ENCRYPTED PRIVATE KEY") + &section("PRIVATE KEY");
        assert_eq!(
            private_key(&two).unwrap_err(),
            Error::SeveralPrivateKeys { count: 2 }
        );
    }

    #[test]
    fn key_behind_ec_parameters_is_found() {
        let text = section("EC PARAMETERS") + &section("EC PRIVATE KEY");
        assert!(matches!(*private_key(&text).unwrap(), PrivateKeyDer::Sec1(_)));
    }

    #[test]
    fn count_of_keys_must_be_one() {
        assert_eq!(private_key("").unwrap_err(), Error::NoPrivateKey);
        let two = section("PRIVATE KEY").repeat(2);
        assert_eq!(
            private_key(&two).unwrap_err(),
            Error::SeveralPrivateKeys { count: 2 }
        );
    }

    #[test]
    fn damage_is_reported_without_the_text() {
        let error =
            private_key("-----BEGIN PRIVATE KEY-----\nse*cret\n-----END PRIVATE KEY-----\n").unwrap_err();
        assert!(!error.to_string().contains("se*cret"), "{error}");
        assert!(matches!(
            certificates("-----BEGIN CERTIFICATE-----\nAQID\n").unwrap_err(),
            Error::Malformed { .. }
        ));
    }
}
