//! An order that is not served yet: the certificate and its key wait in files of their
//! owner's until they are. Orders cost the CA's patience, and a cluster that cannot be
//! reached for a moment must not cost another one.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use silica_acme::{Directory, Issued};
use silica_api::types::Domain;
use silica_certs::{files, inspect, secret::PrivateKeyPem, verify};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::cli::error::Error;

/// Where the certificate of one order waits.
#[derive(Debug)]
pub(super) struct Pending {
    folder: PathBuf,
    domains: Vec<String>,
}

impl Pending {
    /// The place for orders of these domains at this CA, for the cluster at `server`.
    pub(super) fn new(directory: &Directory, server: &str, domains: &[Domain]) -> Self {
        let domains: Vec<String> = domains.iter().map(ToString::to_string).collect();
        let what = format!("{}\n{server}\n{}", directory.url(), domains.join("\n"));
        let mut start = [0; 8];
        start.copy_from_slice(&Sha256::digest(what)[..8]);
        let name = format!("{:016x}", u64::from_be_bytes(start));
        Self::at(state_folder().join("orders").join(name), domains)
    }

    fn at(folder: PathBuf, domains: Vec<String>) -> Self {
        Self { folder, domains }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What waits, as long as it is worth being served: it fits, and is not due itself.
    /// What cannot be read is as good as nothing: it is ordered again.
    pub(super) fn read(&self, now: OffsetDateTime) -> Option<Issued> {
        let text = |name| fs::read_to_string(self.folder.join(name)).ok();
        let (chain_pem, key) = (text(files::FULLCHAIN)?, Zeroizing::new(text(files::PRIVKEY)?));
        verify::key_matches(&chain_pem, &key).ok()?;
        let leaf = inspect::parse_chain(&chain_pem).ok()?.into_iter().next()?;
        let covers = |domain: &String| leaf.covers(domain) && leaf.covers(&format!("any.{domain}"));
        let is_good = self.domains.iter().all(covers) && now < leaf.renewal_due();
        is_good.then_some(Issued {
            key: PrivateKeyPem::parse(&key).ok()?,
            chain_pem,
        })
    }

    /// Keeps what was ordered.
    pub(super) fn write(&self, issued: &Issued) -> Result<(), Error> {
        files::write_server(&self.folder, &issued.chain_pem, &issued.key)?;
        Ok(())
    }

    /// It is served, and lives in the cluster from now on.
    pub(super) fn remove(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::RemoveFile {
                path: self.folder.clone(),
                source: error,
            }),
            _ => Ok(()),
        }
    }
}

/// Of the XDG base directories; the present folder for users without a home.
fn state_folder() -> PathBuf {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_default()
        .join("silica")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use silica_certs::{
        authority::{Authority, AuthorityRequest},
        leaf::LeafRequest,
        names::server_names,
    };
    use time::Duration;

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-06-01 12:00 UTC);
    const DOMAIN: &str = "a.example";

    fn issued() -> Issued {
        let request = AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new());
        let authority = Authority::create(&request, NOW).unwrap();
        let names = server_names(&[DOMAIN.to_owned()], &[]);
        let leaf = authority.issue(&LeafRequest::new(names), NOW).unwrap();
        Issued {
            chain_pem: leaf.chain_pem().to_owned(),
            key: leaf.key_pem().clone(),
        }
    }

    #[test]
    fn an_order_waits_where_its_owner_alone_reads_the_key_until_it_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let pending = Pending::at(folder.path().join("one"), vec![DOMAIN.to_owned()]);
        assert!(pending.read(NOW).is_none());
        pending.remove().unwrap();
        let issued = issued();
        pending.write(&issued).unwrap();
        let key = fs::metadata(folder.path().join("one").join(files::PRIVKEY)).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let again = pending.read(NOW + Duration::days(59)).unwrap();
        assert_eq!((again.chain_pem, again.key), (issued.chain_pem, issued.key));
        pending.remove().unwrap();
        assert!(pending.read(NOW).is_none());
    }

    #[test]
    fn what_is_due_damaged_or_for_other_domains_is_ordered_again() {
        let folder = tempfile::tempdir().unwrap();
        let of = |domains: &[&str]| {
            let domains = domains.iter().map(|one| (*one).to_owned()).collect();
            Pending::at(folder.path().to_owned(), domains)
        };
        of(&[DOMAIN]).write(&issued()).unwrap();
        assert!(of(&[DOMAIN]).read(NOW + Duration::days(61)).is_none());
        assert!(of(&[DOMAIN, "b.example"]).read(NOW).is_none());
        fs::write(folder.path().join(files::PRIVKEY), issued().key.expose()).unwrap();
        assert!(of(&[DOMAIN]).read(NOW).is_none());
    }

    #[test]
    fn every_ca_cluster_and_domain_has_a_place_of_its_own() {
        let domains = |name: &str| vec![name.parse::<Domain>().unwrap()];
        let place = |ca: &str, server: &str, domain: &str| {
            Pending::new(&ca.parse().unwrap(), server, &domains(domain)).folder
        };
        let one = place("letsencrypt", "https://192.0.2.1", DOMAIN);
        assert_eq!(one, place("letsencrypt", "https://192.0.2.1", DOMAIN));
        for other in [
            place("letsencrypt-staging", "https://192.0.2.1", DOMAIN),
            place("letsencrypt", "https://192.0.2.2", DOMAIN),
            place("letsencrypt", "https://192.0.2.1", "b.example"),
        ] {
            assert_ne!(one, other);
        }
    }
}
