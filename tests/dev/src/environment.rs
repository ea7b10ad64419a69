//! The file with the variables that clients of the installation need.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use silica_cluster::layout::LOCAL_DOMAIN;

use crate::workspace;

/// Lines of `export NAME=value`, for shells.
pub(crate) fn file() -> PathBuf {
    workspace::target().join("env")
}

/// The CA certificate of the installation.
pub(crate) fn ca_file() -> PathBuf {
    workspace::target().join("ca.pem")
}

/// That and the CAs of this machine, which `silica` writes beside it.
pub(crate) fn ca_bundle() -> PathBuf {
    workspace::target().join("ca-bundle.pem")
}

/// Adds what only this machine knows to the block that `silica install` wrote.
pub(crate) fn complete(kubeconfig: &Path) -> Result<()> {
    let path = file();
    let block = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let text = format!(
        "{block}export KUBECONFIG={}\n\
         # Clients that do not resolve *.localhost: one address for everything.\n\
         # export E2B_API_URL=https://{LOCAL_DOMAIN} E2B_SANDBOX_URL=https://{LOCAL_DOMAIN}\n",
        kubeconfig.display()
    );
    // Writing keeps the file's mode, which lets nobody else read the key.
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
}

/// The variables of the file.
pub(crate) fn read() -> Result<Vec<(String, String)>> {
    let path = file();
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(parse(&text))
}

/// Understands what `silica install` writes: plain values and values in single quotes.
fn parse(text: &str) -> Vec<(String, String)> {
    let variables = text
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    variables
        .map(|(name, value)| {
            let plain = value
                .strip_prefix('\'')
                .and_then(|value| value.strip_suffix('\''));
            let value = plain.map_or_else(|| value.to_owned(), |quoted| quoted.replace(r"'\''", "'"));
            (name.to_owned(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_left_out_and_quotes_removed() {
        let text = "# export A=1\nexport B=2\nexport C='it'\\''s here'\n";
        assert_eq!(
            parse(text),
            [("B".into(), "2".into()), ("C".into(), "it's here".into())]
        );
    }
}
