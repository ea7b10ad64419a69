//! The CA files of clients: ours alone, for clients that add it to the public
//! CAs, and ours together with those of the system, for clients that read one
//! file in place of them.

use std::{
    env,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use silica_certs::{inspect, pem};

use crate::{
    certificates::env_block::{self, quote},
    cli::error::Error,
    settings::env::{ADD_ROOTS, REPLACE_ROOTS},
};

/// First line of a bundle that was made here. Its CA of ours may be a former one,
/// so such a file is never the source of another.
const MARK: &str = "# CA certificates of Silica and of this system\n";
/// Where systems keep their CAs in one file: Debian and relatives, Alpine, Arch;
/// Fedora and relatives, twice; SUSE; BSD and macOS.
const SYSTEM_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files, by absolute paths: relative ones would break with the next `cd`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientRoots {
    /// Our CA certificates alone.
    pub ours: PathBuf,
    /// Ours and those of the system; `None` when the system has none.
    pub bundle: Option<PathBuf>,
    /// How many CA certificates are ours: two while the CA is being replaced.
    pub count: usize,
}

impl ClientRoots {
    /// Lines that point clients at the files, for a shell to source.
    pub fn lines(&self) -> String {
        let line = |name: &str, path: &Path| format!("export {name}={}\n", quote(&path.to_string_lossy()));
        let whole = self.bundle.as_ref().unwrap_or(&self.ours);
        let mut text: String = REPLACE_ROOTS.map(|name| line(name, whole)).concat();
        text.extend(ADD_ROOTS.map(|name| line(name, &self.ours)));
        text + &self.java()
    }

    /// Java reads no variable and no PEM: a command, as a comment.
    fn java(&self) -> String {
        let path = self.ours.to_string_lossy();
        // A line break would end the comment.
        if path.contains(char::is_control) {
            return String::new();
        }
        let more = if self.count > 1 {
            "# (keytool takes the first certificate of a file: import each of them from a file of its own)\n"
        } else {
            ""
        };
        format!(
            "# Java, into the truststore of its own (with -cacerts) or another (with -keystore FILE):\n\
             # keytool -importcert -noprompt -cacerts -storepass changeit -alias silica -file {}\n{more}",
            quote(&path)
        )
    }
}

/// Writes our CA certificates into the file, and a bundle next to it.
pub fn write(file: &Path, ours_pem: &str) -> Result<ClientRoots, Error> {
    // Absolute paths of files that are still to come.
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (ours, bundle) = (absolute(file), absolute(&bundle_path(file)));
    let system = system_roots(env::var_os("SSL_CERT_FILE").as_deref().map(Path::new), &ours);
    env_block::write_file(&ours, ours_pem, env_block::PUBLIC)?;
    let has_system = !system.is_empty();
    if has_system {
        let text = format!("{MARK}{ours_pem}{system}");
        env_block::write_file(&bundle, &text, env_block::PUBLIC)?;
    }
    Ok(ClientRoots {
        ours,
        bundle: has_system.then_some(bundle),
        count: pem::certificates(ours_pem).map_or(0, |all| all.len()),
    })
}

/// Name of the bundle next to a file: `ca-bundle.crt` for `ca.crt`.
pub fn bundle_path(file: &Path) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push("-bundle");
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// The CAs of the system. A file that the variable names is the user's choice,
/// unless an earlier run has made it.
fn system_roots(named: Option<&Path>, ours: &Path) -> String {
    if named.is_none_or(|named| !is_made_here(named, ours)) {
        return to_pem(load_native_certs());
    }
    let files = SYSTEM_FILES.iter().map(Path::new).filter(|file| file.exists());
    files
        .map(|file| to_pem(load_certs_from_paths(Some(file), None)))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn is_made_here(named: &Path, ours: &Path) -> bool {
    let same = |one: &Path| fs::canonicalize(one).ok();
    let is_ours = same(named).is_some_and(|named| Some(named) == same(ours));
    is_ours || starts_with_mark(named)
}

fn starts_with_mark(file: &Path) -> bool {
    let mut start = vec![0; MARK.len()];
    File::open(file).is_ok_and(|mut file| file.read_exact(&mut start).is_ok() && start == MARK.as_bytes())
}

fn to_pem(found: CertificateResult) -> String {
    let certificates = found.certs.into_iter();
    certificates
        .filter(|certificate| inspect::parse_der(certificate).is_ok())
        .map(|certificate| pem::encode_certificate(&certificate))
        .collect()
}

#[cfg(test)]
mod tests {
    use silica_certs::authority::{Authority, AuthorityRequest};
    use time::OffsetDateTime;

    use super::*;

    fn ca() -> String {
        let request = AuthorityRequest::new(vec!["a.example.com".into()], Vec::new());
        let authority = Authority::create(&request, OffsetDateTime::UNIX_EPOCH).unwrap();
        authority.certificate_pem().to_owned()
    }

    #[test]
    fn what_replaces_the_public_roots_is_pointed_at_the_bundle() {
        let roots = ClientRoots {
            ours: "/d/ca.crt".into(),
            bundle: Some("/d/ca-bundle.crt".into()),
            count: 1,
        };
        let text = roots.lines();
        for line in [
            "SSL_CERT_FILE=/d/ca-bundle.crt",
            "REQUESTS_CA_BUNDLE=/d/ca-bundle.crt",
            "CURL_CA_BUNDLE=/d/ca-bundle.crt",
            "GIT_SSL_CAINFO=/d/ca-bundle.crt",
            "AWS_CA_BUNDLE=/d/ca-bundle.crt",
            "NODE_EXTRA_CA_CERTS=/d/ca.crt",
            "DENO_CERT=/d/ca.crt",
        ] {
            assert!(
                text.contains(&format!("export {line}\n")),
                "{line} is not in {text}"
            );
        }
        assert!(
            text.contains("keytool") && text.contains("-file /d/ca.crt"),
            "{text}"
        );
        let alone = ClientRoots {
            bundle: None,
            ..roots.clone()
        };
        assert!(alone.lines().contains("SSL_CERT_FILE=/d/ca.crt\n"));
        let several = ClientRoots { count: 2, ..roots };
        assert!(several.lines().contains("each of them"));
    }

    #[test]
    fn no_path_gets_out_of_its_comment() {
        let roots = ClientRoots {
            ours: "/d/ca\ntouch x.crt".into(),
            bundle: None,
            count: 1,
        };
        assert!(roots.lines().lines().all(|line| !line.starts_with('#')));
    }

    #[test]
    fn the_bundle_lies_beside_its_file() {
        assert_eq!(bundle_path(Path::new("ca.crt")), Path::new("ca-bundle.crt"));
        assert_eq!(
            bundle_path(Path::new("d/my.ca.pem")),
            Path::new("d/my.ca-bundle.pem")
        );
        assert_eq!(bundle_path(Path::new("/d/ca")), Path::new("/d/ca-bundle"));
    }

    #[test]
    fn a_file_of_the_user_is_the_system_and_one_of_ours_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (chosen, ours, bundle) = (path("chosen.pem"), path("ca.crt"), path("ca-bundle.crt"));
        fs::write(&chosen, ca()).unwrap();
        fs::write(&ours, ca()).unwrap();
        fs::write(&bundle, format!("{MARK}{}", ca())).unwrap();
        assert!(!is_made_here(&chosen, &ours));
        assert!(is_made_here(&ours, &ours) && is_made_here(&bundle, &ours));
        let system = system_roots(Some(&bundle), &ours);
        let former = fs::read_to_string(&bundle).unwrap();
        assert!(
            !system.contains(former.trim_start_matches(MARK)),
            "a former CA of ours is taken for the system's"
        );
    }

    #[test]
    fn both_files_are_written_and_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, pem) = (folder.path().join("new/ca.crt"), ca());
        let written = write(&file, &pem).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), pem);
        assert_eq!(written.count, 1);
        let Some(bundle) = written.bundle else {
            assert!(!bundle_path(&file).exists());
            return;
        };
        let text = fs::read_to_string(bundle).unwrap();
        assert!(text.contains(&pem), "our CA is missing");
        assert!(silica_certs::pem::certificates(&text).unwrap().len() > 1);
    }
}
