//! What the two Connect services have in common: the acting user and intervals.

use std::time::Duration;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use connectrpc::{ConnectError, RequestContext};
use silica_runtime_api::KEEPALIVE_HEADER;

use crate::account::{Account, AccountError};
use crate::sandbox::Sandbox;

/// Keep-alive interval when the client gives none, or a useless one.
const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(90);
/// Accepts padded and unpadded base64.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user that a request acts as.
pub fn acting_account(sandbox: &Sandbox, context: &RequestContext) -> Result<Account, ConnectError> {
    let header = context
        .header("authorization")
        .and_then(|value| value.to_str().ok());
    let name = header.and_then(parse_basic_user);
    sandbox
        .account(name.as_deref())
        .map_err(|error| account_error(&error))
}

/// Connect error for a user that cannot be used.
fn account_error(error: &AccountError) -> ConnectError {
    match error {
        AccountError::Unknown(_) => ConnectError::unauthenticated(error.to_string()),
        AccountError::Read(_) => ConnectError::internal(error.to_string()),
    }
}

/// Keep-alive interval that a client asks for.
pub fn keepalive_interval(context: &RequestContext) -> Duration {
    parse_keepalive(
        context
            .header(KEEPALIVE_HEADER)
            .and_then(|value| value.to_str().ok()),
    )
}

fn parse_keepalive(header: Option<&str>) -> Duration {
    header
        .and_then(|text| text.trim().parse::<u32>().ok())
        .filter(|seconds| *seconds > 0)
        .map_or(DEFAULT_KEEPALIVE, |seconds| Duration::from_secs(seconds.into()))
}

/// User name of an `Authorization: Basic` header (RFC 7617); the password does not matter.
fn parse_basic_user(header: &str) -> Option<String> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = LENIENT.decode(credentials.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let name = text.split(':').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useless_keepalive_intervals_mean_the_default() {
        for header in [None, Some("0"), Some("-1"), Some("garbage"), Some("")] {
            assert_eq!(parse_keepalive(header), DEFAULT_KEEPALIVE, "{header:?}");
        }
        assert_eq!(parse_keepalive(Some("50")), Duration::from_secs(50));
    }

    #[test]
    fn basic_user_is_the_part_before_the_colon() {
        assert_eq!(parse_basic_user("Basic cm9vdDo=").as_deref(), Some("root"));
        assert_eq!(parse_basic_user("basic cm9vdDo").as_deref(), Some("root"));
        assert_eq!(parse_basic_user("Basic Og=="), None);
        assert_eq!(parse_basic_user("Bearer cm9vdDo="), None);
    }
}
