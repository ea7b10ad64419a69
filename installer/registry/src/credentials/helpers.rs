//! Credential helpers: programs that keep what `docker login` was told.

use std::process::Stdio;

use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command};

use super::Credentials;
use crate::Error;

/// User name that says: the secret is an identity token (docker-credential-helpers).
const TOKEN_USER: &str = "<token>";
/// What a helper prints when it knows nothing of a registry.
pub(super) const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Runs `HELPER get` with the registry on its input.
pub(super) async fn ask_helper(helper: &str, registry: &str) -> Result<Option<Credentials>, Error> {
    let failed = |why: String| Error::Helper {
        helper: helper.to_owned(),
        registry: registry.to_owned(),
        why,
    };
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read has said what it thinks in its exit code.
        let _ = input.write_all(registry.as_bytes()).await;
    }
    let output = child
        .wait_with_output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return if said.contains(NOT_FOUND) {
            Ok(None)
        } else {
            Err(failed(format!("{}: {said}", output.status)))
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not what the protocol has".to_owned()))?;
    Ok(Some(if answer.username == TOKEN_USER {
        Credentials::Identity(answer.secret)
    } else {
        Credentials::Basic {
            user: answer.username,
            password: answer.secret,
        }
    }))
}
