//! Tokens of a registry that leaves the login to a token server (distribution's
//! `spec/auth/token` and `spec/auth/oauth`).
//!
//! The registry's greeting says where; a password or nothing at all is taken there by `GET`, an
//! identity token by `POST` with `grant_type=refresh_token`.

use std::collections::BTreeMap;

use reqwest::{Client, RequestBuilder, StatusCode, header};
use serde::Deserialize;

use crate::{
    Credentials,
    error::{Attempt, Error, innermost},
};

/// How a registry wants to be logged in to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Login {
    /// Not at all, or with the password itself.
    Direct,
    /// With a token of this server.
    Token(Challenge),
}

/// Who gives tokens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Challenge {
    realm: String,
    service: Option<String>,
}

/// What the token server answers: either name, or both.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks the registry at `base`, a scheme and a host.
pub(crate) async fn ask(client: &Client, base: &str, attempt: &Attempt<'_>) -> Result<Login, Error> {
    let greeting = client.get(format!("{base}/v2/")).send().await;
    let greeting = greeting.map_err(|error| attempt.unreachable(&error))?;
    // A registry may name several schemes, in one line or in several.
    let bearer = greeting
        .headers()
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(parse_challenge);
    let Some(mut parameters) = bearer else {
        return Ok(Login::Direct);
    };
    let realm = parameters
        .remove("realm")
        .ok_or_else(|| attempt.protocol("it names no token server".into()))?;
    Ok(Login::Token(Challenge {
        realm,
        service: parameters.remove("service"),
    }))
}

/// What a push to a repository asks for.
pub(crate) fn scope(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}

impl Challenge {
    /// The token server's host, for messages.
    pub(crate) fn server(&self) -> &str {
        let rest = self
            .realm
            .split_once("://")
            .map_or(&*self.realm, |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or(rest)
    }

    /// A token for [`scope`]; which rights it holds, only the registry knows.
    pub(crate) async fn token(
        &self,
        client: &Client,
        credentials: &Credentials,
        attempt: &Attempt<'_>,
    ) -> Result<String, Error> {
        let failed = |why: String| Error::TokenServer {
            registry: attempt.registry.to_owned(),
            server: self.server().to_owned(),
            scope: scope(attempt.repository),
            why,
        };
        let request = self.request(client, credentials, &scope(attempt.repository));
        // The address of the request is in the source, and with it the names that are asked for.
        let answer = request.send().await.map_err(|error| failed(innermost(&error)))?;
        match answer.status() {
            StatusCode::OK => {
                let unreadable = |error: reqwest::Error| {
                    failed(format!("its answer cannot be read: {}", innermost(&error)))
                };
                let answer: Answer = answer.json().await.map_err(unreadable)?;
                let token = answer.token.or(answer.access_token);
                token
                    .filter(|token| !token.is_empty())
                    .ok_or_else(|| failed("its answer has no token".into()))
            }
            status @ (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(Error::TokenRefused {
                    registry: attempt.registry.to_owned(),
                    server: self.server().to_owned(),
                    scope: scope(attempt.repository),
                    status: status.as_u16(),
                    user: attempt.user.to_owned(),
                })
            }
            status => Err(failed(format!("status {}", status.as_u16()))),
        }
    }

    fn request(&self, client: &Client, credentials: &Credentials, scope: &str) -> RequestBuilder {
        let mut parameters = vec![("scope", scope)];
        if let Some(service) = &self.service {
            parameters.push(("service", service));
        }
        match credentials {
            Credentials::Anonymous => client.get(&self.realm).query(&parameters),
            Credentials::Basic { user, password } => client
                .get(&self.realm)
                .query(&parameters)
                .basic_auth(user, Some(password)),
            Credentials::Identity(token) => {
                parameters.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "silica"),
                    ("refresh_token", token),
                ]);
                client.post(&self.realm).form(&parameters)
            }
        }
    }
}

/// The parameters of a `Bearer` challenge (RFC 6750 section 3), quoted values without escapes.
fn parse_challenge(text: &str) -> Option<BTreeMap<String, String>> {
    let (scheme, rest) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = BTreeMap::new();
    let mut rest = rest.trim();
    while let Some((name, tail)) = rest.split_once("=\"") {
        let (value, tail) = tail.split_once('"')?;
        parameters.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = tail.trim_start_matches([',', ' ']);
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_commas_stay_whole() {
        let challenge = parse_challenge(
            r#"Bearer realm="https://a.example/token",service="r.example", scope="repository:a:pull,push""#,
        )
        .unwrap();
        assert_eq!(challenge["realm"], "https://a.example/token");
        assert_eq!(challenge["service"], "r.example");
        assert_eq!(challenge["scope"], "repository:a:pull,push");
    }

    #[test]
    fn other_schemes_are_no_challenge_for_a_token() {
        assert_eq!(parse_challenge(r#"Basic realm="r""#), None);
    }

    #[test]
    fn the_server_is_named_without_path() {
        for (realm, server) in [
            ("https://auth.example.com/token?a=b", "auth.example.com"),
            ("http://127.0.0.1:5001", "127.0.0.1:5001"),
            ("/auth", ""),
        ] {
            let challenge = Challenge {
                realm: realm.into(),
                service: None,
            };
            assert_eq!(challenge.server(), server);
        }
    }
}
