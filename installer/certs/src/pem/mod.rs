//! PEM text (RFC 7468) in and out, with errors that say what was found and where, and never quote
//! it: what is damaged may be a key.

mod label;
mod section;
mod text;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use zeroize::Zeroizing;

pub use label::Label;
pub use section::Looks;
use section::{Section, sections};
pub use text::text;

/// Why PEM text is not what it should be. No variant holds text of the input.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// No certificate in the text.
    #[error("no certificate found (a CERTIFICATE section is needed); {0}")]
    NoCertificate(Shape),
    /// No private key in the text.
    #[error("no private key found (a PRIVATE KEY section is needed); {0}")]
    NoPrivateKey(Shape),
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
    #[error("found a {found} section in line {line} among {among}; {}", advice(*found))]
    Mixed {
        /// What it is.
        found: Label,
        /// Its line, counted from 1.
        line: usize,
        /// What the text should hold only.
        among: &'static str,
    },
    /// A line with dashes that is neither BEGIN nor END as they should be.
    #[error(
        "the BEGIN or END in line {line} is damaged: five dashes, BEGIN, a label, five dashes are needed"
    )]
    Begin {
        /// Counted from 1.
        line: usize,
    },
    /// A section without its END.
    #[error("the {label} section that begins in line {line} has no END")]
    NoEnd {
        /// What it is.
        label: Label,
        /// Line of its BEGIN, counted from 1.
        line: usize,
    },
    /// What is between BEGIN and END is not base64.
    #[error("the {label} section that begins in line {line} ({length} letters) cannot be decoded: {looks}")]
    Base64 {
        /// What it is.
        label: Label,
        /// Line of its BEGIN, counted from 1.
        line: usize,
        /// How many letters of base64 it has.
        length: usize,
        /// What is wrong with them.
        looks: Looks,
    },
    /// The content of the section is not what its label says.
    #[error("the {label} section that begins in line {line} is damaged inside")]
    Content {
        /// What it is.
        label: Label,
        /// Line of its BEGIN, counted from 1.
        line: usize,
    },
    /// A key or certificate without text around it.
    #[error("it is DER, not PEM")]
    Der,
    /// A certificate with its key, as Windows exports it.
    #[error("it is PKCS#12, not PEM")]
    Pkcs12,
    /// UTF-16 with half a letter.
    #[error("it is UTF-16 and is cut off; write it again as UTF-8")]
    HalfUtf16,
    /// The encrypted key is damaged.
    #[error("the encrypted private key is damaged inside")]
    Sealed,
}

/// What a text without any section looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// It has other sections.
    Sections,
    /// Nothing but white space.
    Empty,
    /// Base64 of PEM text: encoded once too often.
    Twice,
    /// Base64 alone.
    Bare {
        /// In letters.
        length: usize,
    },
    /// Something else.
    Other {
        /// In bytes.
        length: usize,
    },
}

impl Shape {
    fn of(text: &str) -> Self {
        let length = text.trim().len();
        let is_base64 = |letter: char| letter.is_ascii_alphanumeric() || "+/=".contains(letter);
        match text.trim() {
            "" => Self::Empty,
            text if text.contains("-----BEGIN ") => Self::Sections,
            // Base64 of "-----BEGIN ".
            text if text.starts_with("LS0tLS1CRUdJTi") => Self::Twice,
            text if text
                .chars()
                .all(|letter| letter.is_whitespace() || is_base64(letter)) =>
            {
                Self::Bare { length }
            }
            text => Self::Other { length: text.len() },
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sections => f.write_str("the sections are of other kinds"),
            Self::Empty => f.write_str("it is empty"),
            Self::Twice => f.write_str("it looks like base64 of PEM: decode it once with `base64 -d`"),
            Self::Bare { length } => {
                write!(
                    f,
                    "it looks like base64 without its BEGIN and END lines ({length} letters)"
                )
            }
            Self::Other { length } => write!(f, "it is {length} bytes of something else"),
        }
    }
}

fn advice(label: Label) -> &'static str {
    label
        .conversion()
        .unwrap_or("give certificates and private keys separately")
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
    let mut certificates = Vec::new();
    for section in sections(text)? {
        let der = match section.label {
            Label::Certificate => section.der.to_vec(),
            Label::TrustedCertificate => first_element(&section)?,
            found => {
                return Err(Error::Mixed {
                    found,
                    line: section.line,
                    among: "the certificates",
                });
            }
        };
        certificates.push(CertificateDer::from(der));
    }
    if certificates.is_empty() {
        return Err(Error::NoCertificate(Shape::of(text)));
    }
    Ok(certificates)
}

/// The certificate in front of what OpenSSL notes about its trust.
fn first_element(section: &Section) -> Result<Vec<u8>, Error> {
    let damaged = Error::Content {
        label: section.label,
        line: section.line,
    };
    match x509_parser::parse_x509_certificate(&section.der) {
        Ok((rest, _)) => Ok(section.der[..section.der.len() - rest.len()].to_vec()),
        Err(_) => Err(damaged),
    }
}

/// The one private key of the text, which must not be encrypted; overwritten when
/// dropped.
pub fn private_key(text: &str) -> Result<Zeroizing<PrivateKeyDer<'static>>, Error> {
    let section = key_section(text)?;
    let der = section.der.to_vec();
    let key = match section.label {
        Label::EncryptedPrivateKey => return Err(Error::Encrypted),
        Label::EcPrivateKey => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
        Label::RsaPrivateKey => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
        _ => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
    };
    Ok(Zeroizing::new(key))
}

/// The one private key of the text as it is encrypted, in DER; `None` when it is
/// not encrypted.
#[cfg(feature = "encrypted")]
pub(crate) fn encrypted_key(text: &str) -> Result<Option<Vec<u8>>, Error> {
    let section = key_section(text)?;
    let is_encrypted = section.label == Label::EncryptedPrivateKey;
    Ok(is_encrypted.then(|| section.der.to_vec()))
}

/// Looks for exactly one private key and nothing else.
fn key_section(text: &str) -> Result<Section, Error> {
    let (keys, others): (Vec<Section>, Vec<Section>) = sections(text)?
        .into_iter()
        .partition(|section| section.label.is_private_key());
    if let Some(other) = others.iter().find(|other| other.label != Label::EcParameters) {
        return Err(Error::Mixed {
            found: other.label,
            line: other.line,
            among: "the private key",
        });
    }
    let count = keys.len();
    let mut keys = keys.into_iter();
    match (keys.next(), count) {
        (Some(key), 1) if key.is_sealed => Err(Error::ForeignEncryption {
            form: "in an old form of OpenSSL's (Proc-Type: 4,ENCRYPTED)",
        }),
        (Some(key), 1) => Ok(key),
        (None, _) => Err(Error::NoPrivateKey(Shape::of(text))),
        (Some(_), count) => Err(Error::SeveralPrivateKeys { count }),
    }
}

/// A certificate as PEM with a line end behind it.
pub fn encode_certificate(der: &[u8]) -> String {
    let mut text = String::new();
    wrap(Label::Certificate, &STANDARD.encode(der), &mut text);
    text
}

/// Puts markers around base64 and breaks it into lines of 64 characters.
pub(crate) fn wrap(label: Label, base64: &str, into: &mut String) {
    into.push_str("-----BEGIN ");
    into.push_str(label.name());
    into.push_str("-----\n");
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        into.push_str(line);
        into.push('\n');
        rest = tail;
    }
    into.push_str("-----END ");
    into.push_str(label.name());
    into.push_str("-----\n");
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
                found: Label::PrivateKey,
                line: 4,
                among: "the certificates"
            }
        );
        assert_eq!(
            private_key(&text).unwrap_err(),
            Error::Mixed {
                found: Label::Certificate,
                line: 1,
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
        assert_eq!(private_key("").unwrap_err(), Error::NoPrivateKey(Shape::Empty));
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
            Error::NoEnd { line: 1, .. }
        ));
    }

    #[test]
    fn forms_that_are_not_read_come_with_a_conversion() {
        let of = |label: &str| certificates(&section(label)).unwrap_err().to_string();
        assert!(of("PKCS7").contains("openssl pkcs7"), "{}", of("PKCS7"));
        assert!(of("CERTIFICATE REQUEST").contains("it is a request"));
        assert_eq!(certificates(&section("X509 CERTIFICATE")).unwrap().len(), 1);
    }

    #[test]
    fn shape_of_a_text_without_sections_is_told() {
        let shape = |text: &str| match private_key(text) {
            Err(Error::NoPrivateKey(shape)) => shape,
            other => panic!("{:?}", other.map(drop)),
        };
        assert_eq!(shape("LS0tLS1CRUdJTiBQUklWQVRF"), Shape::Twice);
        assert_eq!(shape("MIIE vQIB"), Shape::Bare { length: 9 });
        assert_eq!(shape("{\"a\": 1}"), Shape::Other { length: 8 });
    }
}
