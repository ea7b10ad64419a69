//! Whose an address is, when it is nobody's on the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for, unless it is an ordinary one of the internet: records with such
/// an address were left by an example, by a router, or by a network of one's own.
/// Source: the special-purpose address registries of IANA (RFC 6890).
pub(crate) fn whose(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => of_v4(mapped),
            None => of_v6(address),
        },
    }
}

fn of_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, second, ..] = address.octets();
    Some(match address {
        one if one.is_unspecified() => "no address at all",
        one if one.is_loopback() => "every machine's own loopback",
        one if one.is_private() => "of a private network, RFC 1918",
        _ if first == 100 && second & 0xc0 == 64 => "behind a provider's NAT, RFC 6598",
        one if one.is_link_local() => "of one link only, RFC 3927",
        one if one.is_documentation() => "from documentation, RFC 5737",
        _ if first == 198 && second & 0xfe == 18 => "for benchmarks, RFC 2544",
        one if one.is_multicast() => "multicast",
        _ if first >= 240 => "reserved",
        _ => return None,
    })
}

fn of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [first, second, ..] = address.segments();
    Some(match address {
        one if one.is_unspecified() => "no address at all",
        one if one.is_loopback() => "every machine's own loopback",
        one if one.is_unique_local() => "of a private network, RFC 4193",
        one if one.is_unicast_link_local() => "of one link only, RFC 4291",
        _ if first == 0x2001 && second == 0xdb8 => "from documentation, RFC 3849",
        one if one.is_multicast() => "multicast",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_known_and_ordinary_ones_are_not() {
        for (address, part) in [
            ("0.0.0.0", "no address"),
            ("127.0.0.53", "loopback"),
            ("10.1.2.3", "private"),
            ("172.31.0.1", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "NAT"),
            ("100.127.255.255", "NAT"),
            ("169.254.1.1", "one link"),
            ("203.0.113.7", "documentation"),
            ("198.19.0.1", "benchmarks"),
            ("255.255.255.255", "reserved"),
            ("::1", "loopback"),
            ("fd00::1", "private"),
            ("fe80::1", "one link"),
            ("2001:db8::1", "documentation"),
            ("::ffff:10.0.0.1", "private"),
        ] {
            let told = whose(address.parse().unwrap()).unwrap_or_default();
            assert!(told.contains(part), "{address}: {told}");
        }
        for ordinary in ["1.1.1.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111"] {
            assert_eq!(whose(ordinary.parse().unwrap()), None, "{ordinary}");
        }
    }
}
