//! Renders kubeconfig files; JSON is valid YAML, so no YAML writer is needed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::layout::{API_PORT, Layout, NODE_ADDRESS};
use crate::pki;

/// Writes a kubeconfig for each client of the cluster, the administrator's included.
pub(crate) fn write_all(layout: &Layout) -> Result<()> {
    for (name, _, _) in pki::CLIENTS {
        write(layout, name, &layout.kubeconfig_of(name))?;
    }
    write(layout, "admin", &layout.kubeconfig)
}

fn write(layout: &Layout, client: &str, path: &Path) -> Result<()> {
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()));
    let (certificate, key) = pki::files(layout, client);
    let config = render(
        client,
        &read(&pki::files(layout, "ca").0)?,
        &read(&certificate)?,
        &read(&key)?,
    );
    pki::write_private(path, &format!("{config:#}\n"))
}

/// Everything is embedded, so that the file can be copied.
fn render(user: &str, ca: &str, certificate: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "silica", "cluster": {
            "server": format!("https://{NODE_ADDRESS}:{API_PORT}"),
            "certificate-authority-data": STANDARD.encode(ca),
        }}],
        "users": [{ "name": user, "user": {
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }}],
        "contexts": [{ "name": "silica", "context": { "cluster": "silica", "user": user } }],
        "current-context": "silica",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_embedded_as_base64() {
        let config = render("admin", "ca", "cert", "key");
        assert_eq!(
            config["clusters"][0]["cluster"]["certificate-authority-data"],
            "Y2E="
        );
        assert_eq!(config["users"][0]["user"]["client-key-data"], "a2V5");
    }
}
