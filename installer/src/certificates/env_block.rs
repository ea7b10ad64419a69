//! The environment that the E2B SDKs need, as lines that a shell can source.

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use crate::{certificates::client_roots::ClientRoots, cli::error::Error, settings::env};

/// Mode of files that anybody may read.
pub const PUBLIC: u32 = 0o644;
/// Mode of files with a key in them.
pub const PRIVATE: u32 = 0o600;

/// What the block says. No `Debug`: it holds the API key.
pub struct EnvBlock {
    /// The domain.
    pub domain: String,
    /// The API key.
    pub api_key: String,
    /// Files with the CA certificate, when clients have to be told of it.
    pub roots: Option<ClientRoots>,
}

impl EnvBlock {
    /// The lines.
    pub fn render(&self) -> String {
        let line = |name: &str, value: &str| format!("export {name}={}\n", quote(value));
        let mut text = line(env::E2B_DOMAIN, &self.domain) + &line(env::E2B_API_KEY, &self.api_key);
        text.extend(self.roots.as_ref().map(ClientRoots::lines));
        text
    }
}

/// Quotes a value for every POSIX shell.
pub(crate) fn quote(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@".contains(letter);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Writes a file as a whole: under another name first, with its mode from the
/// first byte on.
pub fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let failed = |source| Error::WriteFile {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new()
        .prefix(".silica-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_shell() {
        assert_eq!(quote("e2b_00ff"), "e2b_00ff");
        assert_eq!(quote("a'b $c"), r"'a'\''b $c'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn every_client_learns_of_the_authority() {
        let block = EnvBlock {
            domain: "a.b".into(),
            api_key: "key".into(),
            roots: Some(ClientRoots {
                ours: "/ca.crt".into(),
                bundle: Some("/ca-bundle.crt".into()),
                count: 1,
            }),
        };
        let text = block.render();
        for name in [
            "E2B_DOMAIN=a.b",
            "E2B_API_KEY=key",
            "SSL_CERT_FILE=/ca-bundle.crt",
            "NODE_EXTRA_CA_CERTS=/ca.crt",
        ] {
            assert!(text.contains(name), "{name} is missing in {text}");
        }
    }

    #[test]
    fn a_file_with_a_key_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/env");
        write_file(&path, "x", PRIVATE).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        write_file(&path, "y", PRIVATE).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "y");
    }
}
