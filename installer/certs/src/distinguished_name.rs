//! Subjects of existing certificates, as far as they can be written into new ones.

use std::collections::HashSet;

use rcgen::string::{Ia5String, PrintableString};
use rcgen::{DistinguishedName, DnType, DnValue};
use x509_parser::asn1_rs::Tag;
use x509_parser::x509::X509Name;

/// Whether the certificates of a CA with this subject can name their issuer: each attribute comes
/// once, alone in its level, and has a type that the encoder writes without panic.
pub(crate) fn is_writable(name: &X509Name<'_>) -> bool {
    let mut seen = HashSet::new();
    name.iter_rdn().all(|level| {
        let mut attributes = level.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
            return false;
        };
        let kind = attribute.attr_type();
        // The parser reads first arcs that X.660 does not know.
        let arc = kind.iter().and_then(|mut arcs| arcs.next());
        arc.is_some_and(|arc| arc <= 2) && seen.insert(kind.as_bytes().to_vec())
    })
}

/// The name with its attribute types, string types and order kept. `None` for
/// what cannot be written again byte by byte: attributes that come twice,
/// several attributes in one level, and string types from before 1994.
pub(crate) fn copy(name: &X509Name<'_>) -> Option<DistinguishedName> {
    if !is_writable(name) {
        return None;
    }
    let mut copy = DistinguishedName::new();
    for level in name.iter_rdn() {
        let attribute = level.iter().next()?;
        let kind = DnType::from_oid(&attribute.attr_type().iter()?.collect::<Vec<_>>());
        let text = std::str::from_utf8(attribute.attr_value().data).ok()?;
        let value = match attribute.attr_value().tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(PrintableString::try_from(text).ok()?),
            Tag::Ia5String => DnValue::Ia5String(Ia5String::try_from(text).ok()?),
            _ => return None,
        };
        copy.push(kind, value);
    }
    Some(copy)
}
