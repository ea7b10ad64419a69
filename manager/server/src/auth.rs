//! Who calls: an API key stands for a team, a team owns sandboxes.

use std::{convert::Infallible, sync::Arc};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use silica_core::api_key::ADMIN_TEAM;

use crate::{
    config::Auth,
    dispatch::RequestDomain,
    error::ApiError,
    state::App,
    store::{Entry, PoolKey},
};

/// The team that a request speaks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Caller {
    pub(crate) team: String,
}

impl Caller {
    /// Whether the caller sees every namespace.
    pub(crate) fn is_admin(&self) -> bool {
        self.team == ADMIN_TEAM
    }

    /// Whether the caller may see and change this sandbox.
    pub(crate) fn owns(&self, entry: &Entry) -> bool {
        self.is_admin() || entry.owner.as_deref() == Some(&self.team)
    }

    /// Whether the caller may create from this set: a team's name is its namespace.
    pub(crate) fn may_use(&self, set: &PoolKey) -> bool {
        self.is_admin() || *set.namespace == *self.team
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if app.config.auth == Auth::Off {
            return Ok(Self {
                team: ADMIN_TEAM.to_owned(),
            });
        }
        let key = presented_key(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        let keys = app.keys.load();
        let stored = keys.find(key).ok_or_else(ApiError::unauthorized)?;
        Ok(Self {
            team: stored.team.clone(),
        })
    }
}

/// The key in `X-API-KEY`, else in `Authorization: Bearer`, which the CLI uses.
fn presented_key(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok();
    }
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::to_str)?
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<Arc<App>> for RequestDomain {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let named = parts.extensions.get::<Self>().cloned();
        Ok(named.unwrap_or_else(|| {
            Self(
                app.config
                    .domains
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )])
    }

    #[test]
    fn keys_are_read_from_both_headers() {
        assert_eq!(presented_key(&headers("x-api-key", "e2b_1")), Some("e2b_1"));
        assert_eq!(
            presented_key(&headers("authorization", "bearer e2b_2")),
            Some("e2b_2")
        );
        assert_eq!(presented_key(&headers("authorization", "Basic abc")), None);
        assert_eq!(presented_key(&HeaderMap::new()), None);
    }
}
