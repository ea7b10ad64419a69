//! The `Accept-Encoding` header of downloads (RFC 9110 section 12.5.3).

/// How the content of a file travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Identity,
    /// Compressed.
    Gzip,
}

/// Chooses the encoding of a download; nothing when the client accepts neither.
///
/// SDKs that want compression ask for gzip alone. A client that lists whatever it
/// could read, as every browser does, is served faster without.
pub(super) fn choose_encoding(header: Option<&str>) -> Option<Encoding> {
    let mut gzip = None;
    let mut identity = None;
    let mut others = false;
    for item in header.unwrap_or_default().split(',') {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let accepted = !is_zero(parameters);
        match coding.trim().to_ascii_lowercase().as_str() {
            "" => {}
            "gzip" | "x-gzip" => gzip = Some(accepted),
            "identity" => identity = Some(accepted),
            "*" => {
                identity = identity.or((!accepted).then_some(false));
                others = true;
            }
            _ => others = true,
        }
    }
    match (gzip, identity) {
        (Some(true), None | Some(true)) if others => Some(Encoding::Identity),
        (Some(true), _) => Some(Encoding::Gzip),
        (_, Some(false)) => None,
        _ => Some(Encoding::Identity),
    }
}

/// Whether the parameters carry the weight 0: "not acceptable".
fn is_zero(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().strip_prefix("q="))
        .any(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_gzip_alone_gets_it() {
        for header in [
            "gzip",
            "GZIP;q=1.0",
            "gzip, identity;q=0",
            "gzip, br, identity;q=0",
        ] {
            assert_eq!(choose_encoding(Some(header)), Some(Encoding::Gzip), "{header}");
        }
    }

    #[test]
    fn everybody_else_gets_the_bytes_as_they_are() {
        for header in [
            None,
            Some(""),
            Some("identity"),
            Some("br"),
            Some("gzip, deflate, br, zstd"),
            Some("gzip;q=0"),
            Some("*"),
        ] {
            assert_eq!(choose_encoding(header), Some(Encoding::Identity), "{header:?}");
        }
    }

    #[test]
    fn nothing_is_acceptable_to_who_refuses_both() {
        for header in ["identity;q=0", "*;q=0", "br, identity;q=0", "gzip;q=0, *;q=0"] {
            assert_eq!(choose_encoding(Some(header)), None, "{header}");
        }
    }
}
