//! A private key as text that cleans up after itself and is never printed.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use crate::pem::{self, Label};
use crate::pkcs8_form;

/// One unencrypted private key in PEM. Its memory is overwritten when it is
/// dropped, and `Debug` shows nothing of it.
#[derive(Clone, Eq, PartialEq)]
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    /// Takes PEM text with exactly one unencrypted private key: PKCS#8, SEC1 or
    /// PKCS#1.
    pub fn parse(text: &str) -> Result<Self, pem::Error> {
        // Ingress and gateway controllers refuse what people have around a key: parameters of the
        // curve, attributes, other line ends. One section is kept, in PKCS#8 where that is certain.
        let der = pem::private_key(text)?;
        if let Some(converted) = pkcs8_form::convert(&der, None) {
            return Ok(Self::from_pkcs8(&converted));
        }
        Ok(match &*der {
            PrivateKeyDer::Sec1(key) => Self::section(Label::EcPrivateKey, key.secret_sec1_der()),
            PrivateKeyDer::Pkcs1(key) => Self::section(Label::RsaPrivateKey, key.secret_pkcs1_der()),
            other => Self::from_pkcs8(other.secret_der()),
        })
    }

    /// Takes PEM text as [`PrivateKeyPem::parse`] does, or with one PKCS#8 key that
    /// the password opens. Without the feature `encrypted`, and without a password,
    /// encrypted keys are refused.
    pub fn open(text: &str, password: Option<&[u8]>) -> Result<Self, pem::Error> {
        #[cfg(feature = "encrypted")]
        if let (Some(password), Some(sealed)) = (password, pem::encrypted_key(text)?) {
            let opened = crate::encrypted::open(&sealed, password)?;
            return Ok(Self::from_pkcs8(opened.as_bytes()));
        }
        #[cfg(not(feature = "encrypted"))]
        let _ = password;
        Self::parse(text)
    }

    /// Writes a PKCS#8 key as PEM.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Self {
        Self::section(Label::PrivateKey, der)
    }

    fn section(label: Label, der: &[u8]) -> Self {
        let encoded = Zeroizing::new(STANDARD.encode(der));
        // Room for the text and its line ends, so that no copy stays behind in
        // memory that a growing String gave up.
        let mut text = Zeroizing::new(String::with_capacity(encoded.len() + encoded.len() / 64 + 64));
        pem::wrap(label, &encoded, &mut text);
        Self(text)
    }

    /// The key itself, for a Secret or a file. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key in DER.
    pub(crate) fn to_der(&self) -> Result<Zeroizing<PrivateKeyDer<'static>>, pem::Error> {
        pem::private_key(&self.0)
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let key = PrivateKeyPem::from_pkcs8(&[7; 40]);
        assert_eq!(format!("{key:?}"), "PrivateKeyPem(..)");
        assert!(key.expose().contains("BwcHBwcH"));
    }

    #[test]
    fn written_key_reads_back() {
        let key = PrivateKeyPem::from_pkcs8(&[7; 140]);
        assert_eq!(key.to_der().unwrap().secret_der(), [7; 140]);
        assert_eq!(PrivateKeyPem::parse(key.expose()).unwrap(), key);
    }
}
