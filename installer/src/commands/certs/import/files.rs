//! The files of a certificate from elsewhere: PEM, or a word on how to make it of them.

use std::{fmt::Display, fs, path::Path};

use silica_certs::{pem, secret::PrivateKeyPem, whole_text};
use zeroize::Zeroizing;

use super::{Given, ImportArgs, Measure};
use crate::{
    cli::error::Error,
    commands::certs::{error::Error as CertsError, password},
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
        let path = path.to_owned();
        match pem::text(&bytes) {
            Ok(text) => return Some(text),
            Err(pem::Error::Der) => self
                .reasons
                .push(CertsError::NotPem { path, command }.to_string()),
            Err(pem::Error::Pkcs12) => self.reasons.push(CertsError::Pkcs12 { path }.to_string()),
            Err(error) => self.refuse(&path, whole_text(&error)),
        }
        None
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
