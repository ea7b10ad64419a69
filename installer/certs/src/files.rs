//! The four files of a self-signed installation, named as in the product's
//! manual: server certificate and key, CA certificate and key.
//!
//! Every file appears whole or not at all, and a key is readable by its owner
//! only from the moment the file exists. An existing CA is never overwritten:
//! clients trust it.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::authority::{self, Authority};
use crate::leaf::Leaf;
use crate::secret::PrivateKeyPem;

/// Server certificate, as the server sends it.
pub const FULLCHAIN: &str = "fullchain.pem";
/// Private key of the server certificate.
pub const PRIVKEY: &str = "privkey.pem";
/// CA certificate: what clients trust.
pub const CA_FULLCHAIN: &str = "ca-fullchain.pem";
/// Private key of the CA.
pub const CA_PRIVKEY: &str = "ca-privkey.pem";

const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// Why the files cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or the folder cannot be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// One of the two CA files is there without the other.
    #[error("{} is there without {}; restore it, or move the first away to make a new CA", found.display(), missing.display())]
    HalfAuthority {
        /// The file that exists.
        found: PathBuf,
        /// The file that does not.
        missing: PathBuf,
    },
    /// The CA of the folder cannot be used.
    #[error("failed to load the CA of {}", folder.display())]
    Authority {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        #[source]
        source: authority::Error,
    },
    /// The folder holds another CA.
    #[error("{} holds another CA, which is not overwritten: clients may trust it", path.display())]
    OtherAuthority {
        /// Its certificate.
        path: PathBuf,
    },
}

/// What [`write`] did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// The files written, in their order.
    pub files: Vec<PathBuf>,
    /// Whether the folder had this CA already.
    pub authority_reused: bool,
}

/// The CA of the folder, `None` when it has none.
pub fn read_authority(folder: &Path) -> Result<Option<Authority>, Error> {
    let (certificate, key) = (folder.join(CA_FULLCHAIN), folder.join(CA_PRIVKEY));
    let (certificate_pem, key_pem) = match (read(&certificate)?, read(&key)?) {
        (None, None) => return Ok(None),
        (Some(_), None) => {
            return Err(Error::HalfAuthority {
                found: certificate,
                missing: key,
            });
        }
        (None, Some(_)) => {
            return Err(Error::HalfAuthority {
                found: key,
                missing: certificate,
            });
        }
        (Some(certificate_pem), Some(key_pem)) => (certificate_pem, zeroize::Zeroizing::new(key_pem)),
    };
    let loaded = Authority::from_pem(&certificate_pem, &key_pem);
    loaded.map(Some).map_err(|source| Error::Authority {
        folder: folder.to_owned(),
        source,
    })
}

/// Writes CA and server certificate into the folder, which is made when it does
/// not exist. A CA that is there must be the same one and is left untouched;
/// the server's files are replaced.
pub fn write(folder: &Path, authority: &Authority, leaf: &Leaf) -> Result<Written, Error> {
    make(folder)?;
    let mut files = Vec::with_capacity(4);
    let existing = read_authority(folder)?;
    if let Some(existing) = &existing {
        if existing.inspected().fingerprint != authority.inspected().fingerprint {
            return Err(Error::OtherAuthority {
                path: folder.join(CA_FULLCHAIN),
            });
        }
    } else {
        // The key first: a certificate without its key could be published.
        files.push(create(
            folder,
            CA_PRIVKEY,
            authority.key_pem().expose(),
            KEY_MODE,
        )?);
        files.push(create(
            folder,
            CA_FULLCHAIN,
            authority.certificate_pem(),
            CERTIFICATE_MODE,
        )?);
    }
    files.push(replace(folder, PRIVKEY, leaf.key_pem().expose(), KEY_MODE)?);
    files.push(replace(folder, FULLCHAIN, leaf.chain_pem(), CERTIFICATE_MODE)?);
    Ok(Written {
        files,
        authority_reused: existing.is_some(),
    })
}

/// Writes a server certificate that another CA issued into the folder, which is
/// made when it does not exist; files of the same names are replaced.
pub fn write_server(folder: &Path, chain_pem: &str, key: &PrivateKeyPem) -> Result<Vec<PathBuf>, Error> {
    make(folder)?;
    Ok(vec![
        replace(folder, PRIVKEY, key.expose(), KEY_MODE)?,
        replace(folder, FULLCHAIN, chain_pem, CERTIFICATE_MODE)?,
    ])
}

/// Writes a text that only its owner may read, in a folder that is made when it
/// does not exist.
pub fn write_private(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Error> {
    make(folder)?;
    replace(folder, name, text, KEY_MODE)
}

fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| Error::Write {
        path: folder.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes a file that must not exist, also not by somebody who was quicker.
fn create(folder: &Path, name: &str, text: &str, mode: u32) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    let done = whole(folder, text, mode).and_then(|file| {
        file.persist_noclobber(&path)
            .map(|_| ())
            .map_err(|error| error.error)
    });
    done.map(|()| path.clone())
        .map_err(|source| Error::Write { path, source })
}

fn replace(folder: &Path, name: &str, text: &str, mode: u32) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    let done = whole(folder, text, mode)
        .and_then(|file| file.persist(&path).map(|_| ()).map_err(|error| error.error));
    done.map(|()| path.clone())
        .map_err(|source| Error::Write { path, source })
}

/// A complete file under a temporary name, created with its final mode at most.
fn whole(folder: &Path, text: &str, mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let mut file = Builder::new()
        .prefix(".silica-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}
