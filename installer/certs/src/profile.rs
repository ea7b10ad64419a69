//! The figures of the certificate profile, each with its reason.

use rcgen::SerialNumber;
use time::{Duration, OffsetDateTime};

/// How long a CA made here lives: 10 years, so that it outlives many leafs.
pub const AUTHORITY_VALIDITY: Duration = Duration::days(3650);
/// How long a server certificate lives unless asked otherwise.
pub const LEAF_VALIDITY: Duration = Duration::days(90);
/// The longest life of a server certificate: Apple's platforms refuse more,
/// also below CAs that a user has added.
pub const LEAF_VALIDITY_MAX: Duration = Duration::days(825);
/// Above this life a server certificate deserves a notice: it was the limit for
/// public certificates until 2026.
pub const LEAF_VALIDITY_NOTICE: Duration = Duration::days(398);
/// How far `notBefore` lies in the past, for clients whose clock is late.
pub const NOT_BEFORE_MARGIN: Duration = Duration::hours(1);
/// Organisation in the subject of every CA made here.
pub(crate) const ORGANISATION: &str = "Silica";

/// A fresh serial number: 127 random bits in 16 octets.
///
/// The top bit is 0 so that DER needs no padding octet, the first octet is not
/// zero so that the length never varies (RFC 5280 section 4.1.2.2 allows 20
/// octets and wants a positive number). A serial never depends on the key:
/// clients reject two certificates of one issuer with the same serial.
pub(crate) fn serial_number() -> SerialNumber {
    let mut octets: [u8; 16] = rand::random();
    octets[0] &= 0x7f;
    if octets[0] == 0 {
        octets[0] = 1;
    }
    SerialNumber::from_slice(&octets)
}

/// The moment without its fraction: X.509 times are whole seconds in UTC.
pub(crate) fn whole_second(moment: OffsetDateTime) -> OffsetDateTime {
    let utc = moment.to_offset(time::UtcOffset::UTC);
    utc.replace_nanosecond(0).unwrap_or(utc)
}

/// Whether the moment can be written into a certificate: years 1950 to 9999
/// (RFC 5280 section 4.1.2.5).
pub(crate) fn is_encodable(moment: OffsetDateTime) -> bool {
    (1950..=9999).contains(&moment.to_offset(time::UtcOffset::UTC).year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_and_never_shorter() {
        for _ in 0..1000 {
            let serial = serial_number().to_bytes();
            assert_eq!(serial.len(), 16);
            assert!((1..=0x7f).contains(&serial[0]));
        }
    }

    #[test]
    fn serials_differ() {
        assert_ne!(serial_number(), serial_number());
    }
}
