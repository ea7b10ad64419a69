//! Signed file URLs: a link to one file that works without the token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Access;

/// What a signed URL permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Download.
    Read,
    /// Upload.
    Write,
}

/// Query parameters of a signed URL, exactly as the client sent them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignedQuery<'a> {
    /// Path before any resolution.
    pub path: &'a str,
    /// User name, empty when there is none.
    pub username: &'a str,
    /// The signature.
    pub signature: Option<&'a str>,
    /// End of validity in seconds since the Unix epoch.
    pub expiration: Option<i64>,
}

/// Why a request for a file is not permitted; SDKs show these texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("missing signature query parameter")]
    Missing,
    #[error("invalid signature")]
    Invalid,
    #[error("signature is already expired")]
    Expired,
}

/// Checks a signed URL against the current token, at `now` seconds since the Unix epoch.
pub fn verify_signature(
    access: &Access,
    operation: Operation,
    query: SignedQuery<'_>,
    now: i64,
) -> Result<(), SignatureError> {
    let signature = query.signature.ok_or(SignatureError::Missing)?;
    let token = access.plain_token().ok_or(SignatureError::Invalid)?;
    let expected = render_signature(operation, query, &token);
    if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(SignatureError::Invalid);
    }
    match query.expiration {
        Some(expiration) if expiration < now => Err(SignatureError::Expired),
        _ => Ok(()),
    }
}

fn render_signature(operation: Operation, query: SignedQuery<'_>, token: &str) -> String {
    let operation = match operation {
        Operation::Read => "read",
        Operation::Write => "write",
    };
    let mut text = format!("{}:{operation}:{}:{token}", query.path, query.username);
    if let Some(expiration) = query.expiration {
        text.push(':');
        text.push_str(&expiration.to_string());
    }
    format!("v1_{}", STANDARD_NO_PAD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let access = Access::new(None);
        access.set_token("token");
        access
    }

    #[test]
    fn signature_is_the_hash_of_path_operation_user_and_token() {
        let query = SignedQuery {
            path: "/a",
            username: "user",
            ..SignedQuery::default()
        };
        let digest = STANDARD_NO_PAD.encode(Sha256::digest(b"/a:read:user:token"));
        assert_eq!(
            render_signature(Operation::Read, query, "token"),
            format!("v1_{digest}")
        );
        let query = SignedQuery {
            expiration: Some(9),
            ..query
        };
        let digest = STANDARD_NO_PAD.encode(Sha256::digest(b"/a:write:user:token:9"));
        assert_eq!(
            render_signature(Operation::Write, query, "token"),
            format!("v1_{digest}")
        );
    }

    #[test]
    fn signature_counts_for_one_operation_only() {
        let query = SignedQuery {
            path: "/a",
            ..SignedQuery::default()
        };
        let signature = render_signature(Operation::Read, query, "token");
        let query = SignedQuery {
            signature: Some(&signature),
            ..query
        };
        assert_eq!(verify_signature(&access(), Operation::Read, query, 0), Ok(()));
        assert_eq!(
            verify_signature(&access(), Operation::Write, query, 0),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn expired_signature_is_told_apart_from_a_wrong_one() {
        let query = SignedQuery {
            path: "/a",
            expiration: Some(100),
            ..SignedQuery::default()
        };
        let signature = render_signature(Operation::Read, query, "token");
        let query = SignedQuery {
            signature: Some(&signature),
            ..query
        };
        assert_eq!(verify_signature(&access(), Operation::Read, query, 100), Ok(()));
        assert_eq!(
            verify_signature(&access(), Operation::Read, query, 101),
            Err(SignatureError::Expired)
        );
        let unsigned = SignedQuery {
            signature: None,
            ..query
        };
        assert_eq!(
            verify_signature(&access(), Operation::Read, unsigned, 0),
            Err(SignatureError::Missing)
        );
    }
}
