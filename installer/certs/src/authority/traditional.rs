//! Keys in forms that are older than PKCS#8, which is the only one that signs.

use rustls_pki_types::PrivateKeyDer;

use super::Error;
use crate::inspect::KeyKind;
use crate::pkcs8_form;
use crate::secret::PrivateKeyPem;

/// The key in PKCS#8; one that is in this form already stays as it is. `kind` is what
/// the certificate says of its key: whether the two belong together is not looked at.
pub(super) fn as_pkcs8(key: PrivateKeyPem, kind: &KeyKind) -> Result<PrivateKeyPem, Error> {
    let der = key.to_der().map_err(Error::KeyPem)?;
    if let Some(converted) = pkcs8_form::convert(&der, Some(kind)) {
        return Ok(PrivateKeyPem::from_pkcs8(&converted));
    }
    match &*der {
        PrivateKeyDer::Sec1(_) => Err(Error::KeyForm { form: "in SEC1 form" }),
        PrivateKeyDer::Pkcs1(_) => Err(Error::KeyForm {
            form: "in PKCS#1 form",
        }),
        _ => Ok(key),
    }
}
