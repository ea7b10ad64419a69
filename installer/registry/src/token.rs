//! Exchanges an identity token, which `docker login` keeps for some clouds, for an access
//! token (Docker's `auth/oauth` document: `grant_type=refresh_token`).

use std::collections::BTreeMap;

use reqwest::{Client, StatusCode, header};
use serde::Deserialize;

use crate::error::{Attempt, Error};

/// What the realm answers; servers use either name.
#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "token")]
    access_token: String,
}

/// An access token that may pull and push `repository`.
pub(crate) async fn exchange(
    client: &Client,
    base: &str,
    identity: &str,
    repository: &str,
    attempt: &Attempt<'_>,
) -> Result<String, Error> {
    let protocol = |why: String| Error::Protocol {
        registry: attempt.registry.to_owned(),
        repository: repository.to_owned(),
        action: attempt.action,
        why,
    };
    let unreachable = |error: reqwest::Error| attempt.unreachable(&error);
    let greeting = client
        .get(format!("{base}/v2/"))
        .send()
        .await
        .map_err(unreachable)?;
    let challenge = greeting
        .headers()
        .get(header::WWW_AUTHENTICATE)
        .and_then(|value| value.to_str().ok())
        .and_then(parse_challenge)
        .ok_or_else(|| {
            protocol("it asks for no bearer token, but the credentials are an identity token".into())
        })?;
    let realm = challenge
        .get("realm")
        .ok_or_else(|| protocol("it names no token server".into()))?;
    let scope = format!("repository:{repository}:pull,push");
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("client_id", "silica"),
        ("refresh_token", identity),
        ("scope", &scope),
    ];
    if let Some(service) = challenge.get("service") {
        form.push(("service", service));
    }
    let answer = client.post(realm).form(&form).send().await.map_err(unreachable)?;
    match answer.status() {
        StatusCode::OK => answer
            .json::<Answer>()
            .await
            .map(|answer| answer.access_token)
            .map_err(|error| {
                protocol(format!(
                    "the token server's answer cannot be read: {}",
                    error.without_url()
                ))
            }),
        StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
            Err(Error::Unauthorized {
                registry: attempt.registry.to_owned(),
                repository: repository.to_owned(),
                action: attempt.action,
                user: "the identity token is expired or revoked".to_owned(),
            })
        }
        status => Err(protocol(format!("the token server answered {status}"))),
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
}
