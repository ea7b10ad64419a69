//! Headers on their way through the proxy.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderValue,
    header::{self, HeaderName},
};
use silica_core::contract::TRAFFIC_TOKEN_HEADER;

use super::peer::Scheme;

/// Hop-by-hop fields besides those that `Connection` names (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields with which a client could try to steer this proxy or one behind it.
const INTERNAL: [HeaderName; 4] = [
    HeaderName::from_static("x-envoy-original-dst-host"),
    HeaderName::from_static("request-header-modifier"),
    HeaderName::from_static("x-silica-upstream"),
    HeaderName::from_static(TRAFFIC_TOKEN_HEADER),
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Removes the fields that end at this hop.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if let Some(connection) = headers.get(header::CONNECTION)
        && connection.as_bytes() != b"keep-alive"
    {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // A client must not talk the proxy out of these.
            .filter(|name| ![header::HOST, header::CONTENT_LENGTH, FORWARDED_FOR].contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Prepares the headers of a request for the sandbox.
pub(super) fn prepare_request(
    headers: &mut HeaderMap,
    host: Option<HeaderValue>,
    peer: IpAddr,
    scheme: Scheme,
) {
    remove_hop_by_hop(headers);
    for name in INTERNAL {
        headers.remove(name);
    }
    // The proxy itself has answered 100-continue by starting to read the body.
    headers.remove(header::EXPECT);
    if let Some(host) = host {
        if scheme == Scheme::Https || !headers.contains_key(FORWARDED_HOST) {
            headers.insert(FORWARDED_HOST, host.clone());
        }
        headers.insert(header::HOST, host);
    }
    if scheme == Scheme::Https || !headers.contains_key(FORWARDED_PROTO) {
        let value = if scheme == Scheme::Https { "https" } else { "http" };
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(value));
    }
    let chain = match headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(chain) => format!("{chain}, {peer}"),
        None => peer.to_string(),
    };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
}

/// The protocol that an HTTP/1.1 client wants to switch to.
pub(super) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection = headers.get_all(header::CONNECTION);
    let asked = connection
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    if asked {
        headers.get(header::UPGRADE).cloned()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    value.parse::<HeaderValue>().unwrap(),
                )
            })
            .collect()
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn hop_by_hop_fields_end_here_also_those_that_connection_names() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-app", "kept"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("x-app", "kept")]));
    }

    #[test]
    fn a_client_cannot_steer_the_proxy_or_drop_forwarded_fields() {
        let mut map = headers(&[
            ("x-envoy-original-dst-host", "10.0.0.1:22"),
            ("request-header-modifier", "{}"),
            ("connection", "host, x-forwarded-for"),
            ("x-forwarded-for", "198.51.100.1"),
        ]);
        prepare_request(
            &mut map,
            Some(HeaderValue::from_static("h.example")),
            PEER,
            Scheme::Https,
        );
        let expected = headers(&[
            ("host", "h.example"),
            ("x-forwarded-host", "h.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "198.51.100.1, 192.0.2.7"),
        ]);
        assert_eq!(map, expected);
    }

    #[test]
    fn behind_an_ingress_its_word_about_the_scheme_counts_and_over_tls_our_own() {
        let mut map = headers(&[("x-forwarded-proto", "https")]);
        prepare_request(&mut map, None, PEER, Scheme::Http);
        assert_eq!(map["x-forwarded-proto"], "https");
        let mut map = headers(&[("x-forwarded-proto", "http")]);
        prepare_request(&mut map, None, PEER, Scheme::Https);
        assert_eq!(map["x-forwarded-proto"], "https");
    }

    #[test]
    fn upgrades_are_recognised_in_option_lists() {
        let map = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(wanted_upgrade(&map).unwrap(), "websocket");
        assert!(wanted_upgrade(&headers(&[("upgrade", "h2c")])).is_none());
    }
}
