//! What the daemon inside of a sandbox is told when the sandbox gets an owner.

use std::collections::BTreeMap;

use jiff::Timestamp;
use silica_runtime_api::InitRequest;

use crate::timeout;

/// The request for a sandbox with this id and template. `token` is the one that clients need;
/// nothing opens the daemon to everybody.
pub fn request(
    id: &str,
    template: &str,
    token: Option<&str>,
    env: &BTreeMap<String, String>,
    now: Timestamp,
) -> InitRequest {
    let mut env_vars = env.clone();
    for (name, value) in [
        ("E2B_SANDBOX", "true"),
        ("E2B_SANDBOX_ID", id),
        ("E2B_TEMPLATE_ID", template),
    ] {
        env_vars.insert(name.to_owned(), value.to_owned());
    }
    InitRequest {
        env_vars: Some(env_vars),
        access_token: Some(token.unwrap_or_default().to_owned()),
        timestamp: Some(timeout::format(now)),
        ..InitRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_learns_who_it_is_and_nobody_can_say_otherwise() {
        let env = [("A", "1"), ("E2B_SANDBOX_ID", "other")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let asked = request("ns--a", "base", None, &env, Timestamp::UNIX_EPOCH);
        let variables = asked.env_vars.unwrap();
        assert_eq!(
            (variables["A"].as_str(), variables["E2B_SANDBOX_ID"].as_str()),
            ("1", "ns--a")
        );
        assert_eq!(asked.access_token.as_deref(), Some(""));
        assert_eq!(asked.timestamp.as_deref(), Some("1970-01-01T00:00:00.000Z"));
    }
}
