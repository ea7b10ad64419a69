//! The files of a certificate from elsewhere: PEM, or a word on how to make it of them.

use std::{fmt::Display, fs, path::Path};

use silica_certs::{pem, secret::PrivateKeyPem, whole_text};
use zeroize::Zeroizing;

use super::{Given, ImportArgs, Measure};
use crate::{
    commands::certs::{error::Error as CertsError, password},
    error::Error,
};

/// Reads the files; all that are damaged are named at once.
pub(super) fn read(args: &ImportArgs) -> Result<Given, Error> {
    let mut reader = Reader::default();
    let password = match args.password.read() {
        Ok(password) => password,
        Err(error) => {
            reader.reasons.push(whole_text(&error));
            None
        }
    };
    let chain = reader.certificates(&args.cert);
    let more = args.chain.as_deref().map(|path| reader.certificates(path));
    let key = reader.key(&args.key, password.as_deref().map(Vec::as_slice));
    let ca = args.ca.as_deref().map(|path| reader.certificates(path));
    match (chain, key) {
        (Some(chain), Some(key)) if reader.reasons.is_empty() => {
            let more = more.flatten().map(|more| format!("\n{}", *more));
            Ok(Given {
                chain: format!("{}{}", *chain, more.unwrap_or_default()),
                key,
                measure: match ca.flatten() {
                    Some(ca) => Measure::Given(ca.as_str().to_owned()),
                    None if args.allow_unknown_ca => Measure::Any,
                    None => Measure::Public,
                },
            })
        }
        _ => Err(CertsError::Refused {
            reasons: reader.reasons,
            outcomes: Vec::new(),
            is_input: true,
        }
        .into()),
    }
}

/// The files that are read; everything that is wrong with them is told at once.
#[derive(Default)]
struct Reader {
    reasons: Vec<String>,
}

impl Reader {
    /// The text of a PEM file; `command` is the subcommand of openssl for such files.
    fn text(&mut self, path: &Path, command: &'static str) -> Option<Zeroizing<String>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) => {
                self.refuse(path, format!("it cannot be read: {error}"));
                return None;
            }
        };
        let text = std::str::from_utf8(&bytes).ok().map(ToOwned::to_owned);
        let text = text.filter(|text| !is_der(&bytes) || text.contains("-----BEGIN "));
        if text.is_none() {
            self.reasons.push(not_pem(path, &bytes, command).to_string());
        }
        text.map(Zeroizing::new)
    }

    /// The text of a file with certificates.
    fn certificates(&mut self, path: &Path) -> Option<Zeroizing<String>> {
        let text = self.text(path, "x509")?;
        match silica_certs::inspect::parse_chain(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                self.refuse(path, whole_text(&error));
                None
            }
        }
    }

    fn key(&mut self, path: &Path, password: Option<&[u8]>) -> Option<PrivateKeyPem> {
        let text = self.text(path, "pkey")?;
        match PrivateKeyPem::open(&text, password) {
            Ok(key) => Some(key),
            Err(pem::Error::Encrypted) => {
                self.refuse(path, format!("the private key is encrypted; {}", password::HINT));
                None
            }
            Err(error) => {
                self.refuse(path, whole_text(&error));
                None
            }
        }
    }

    fn refuse(&mut self, path: &Path, reason: impl Display) {
        self.reasons.push(format!("{}: {reason}", path.display()));
    }
}

/// Whether it begins as an ASN.1 sequence does.
fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

/// What to tell of a file that is not PEM.
fn not_pem(path: &Path, bytes: &[u8], command: &'static str) -> CertsError {
    // RFC 7292 section 4: a file of PKCS#12 begins with its version, 3, as no
    // certificate and no key does. The sequence around it has up to 5 bytes.
    let head = bytes.get(2..8).unwrap_or_default();
    let path = path.to_owned();
    if is_der(bytes) && head.windows(3).any(|part| part == [2, 1, 3]) {
        CertsError::Pkcs12 { path }
    } else {
        CertsError::NotPem { path, command }
    }
}
