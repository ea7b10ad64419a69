//! The four files of a self-signed installation, named as in the product's
//! manual: server certificate and key, CA certificate and key.
//!
//! They appear together or not at all, each of them whole, and a key is readable
//! by its owner only from the moment the file exists. An existing CA is never
//! overwritten: clients trust it.

mod publish;

use std::path::{Path, PathBuf};
use std::{fs, io};

use zeroize::Zeroizing;

use self::publish::Wanted;
use crate::authority::{self, Authority};
use crate::inspect;
use crate::leaf::Leaf;
use crate::pem;
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
    /// A file is not PEM.
    #[error("failed to read {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
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
    /// The CA of two files cannot be used.
    #[error("failed to load the CA of {} and {}", certificate.display(), key.display())]
    GivenAuthority {
        /// Its certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// What is wrong with them.
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

/// What [`write()`] did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// The files written, in their order.
    pub files: Vec<PathBuf>,
    /// Whether the folder had this CA already.
    pub authority_reused: bool,
}

/// The CA of the folder, `None` when it has none. The password opens its key when
/// that is encrypted; see [`PrivateKeyPem::open`].
pub fn read_authority(folder: &Path, password: Option<&[u8]>) -> Result<Option<Authority>, Error> {
    let Some((certificate_pem, key_pem)) = read_pair(folder)? else {
        return Ok(None);
    };
    let loaded = load(&certificate_pem, &key_pem, password);
    loaded.map(Some).map_err(|source| Error::Authority {
        folder: folder.to_owned(),
        source,
    })
}

/// The CA of two files anywhere, as [`read_authority`] reads that of a folder.
pub fn load_authority(certificate: &Path, key: &Path, password: Option<&[u8]>) -> Result<Authority, Error> {
    let needed = |path: &Path| {
        read(path)?.ok_or_else(|| Error::Read {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })
    };
    let (certificate_pem, key_pem) = (needed(certificate)?, needed(key)?);
    load(&certificate_pem, &key_pem, password).map_err(|source| Error::GivenAuthority {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn load(
    certificate_pem: &str,
    key_pem: &str,
    password: Option<&[u8]>,
) -> Result<Authority, authority::Error> {
    let key = PrivateKeyPem::open(key_pem, password).map_err(authority::Error::KeyPem)?;
    Authority::from_parts(certificate_pem, key)
}

/// Certificate and key as text.
type Pair = (Zeroizing<String>, Zeroizing<String>);

/// The texts of the CA's two files.
fn read_pair(folder: &Path) -> Result<Option<Pair>, Error> {
    let (certificate, key) = (folder.join(CA_FULLCHAIN), folder.join(CA_PRIVKEY));
    match (read(&certificate)?, read(&key)?) {
        (None, None) => Ok(None),
        (Some(certificate_pem), Some(key_pem)) => Ok(Some((certificate_pem, key_pem))),
        (Some(_), None) => Err(Error::HalfAuthority {
            found: certificate,
            missing: key,
        }),
        (None, Some(_)) => Err(Error::HalfAuthority {
            found: key,
            missing: certificate,
        }),
    }
}

/// Writes CA and server certificate into the folder, which is made when it does
/// not exist: all files or none. A CA that is there must be the same one and is
/// left untouched; the server's files are replaced.
pub fn write(folder: &Path, authority: &Authority, leaf: &Leaf) -> Result<Written, Error> {
    let existing = read_pair(folder)?;
    let mut wanted = Vec::with_capacity(4);
    if let Some((certificate_pem, _)) = &existing {
        check_same(folder, certificate_pem, authority)?;
    } else {
        // The key first: a certificate without its key could be published.
        wanted.push(Wanted::new(CA_PRIVKEY, authority.key_pem().expose(), KEY_MODE).once());
        wanted.push(Wanted::new(CA_FULLCHAIN, authority.certificate_pem(), CERTIFICATE_MODE).once());
    }
    wanted.extend(server(leaf.chain_pem(), leaf.key_pem()));
    Ok(Written {
        files: publish::all(folder, &wanted)?,
        authority_reused: existing.is_some(),
    })
}

/// Writes only the server certificate into the folder, beside no CA or the same
/// one: the CA has files elsewhere, and its key is not spread.
pub fn write_signed(folder: &Path, authority: &Authority, leaf: &Leaf) -> Result<Vec<PathBuf>, Error> {
    if let Some(certificate_pem) = read(&folder.join(CA_FULLCHAIN))? {
        check_same(folder, &certificate_pem, authority)?;
    }
    write_server(folder, leaf.chain_pem(), leaf.key_pem())
}

/// Whether the certificate in the folder is this CA's.
fn check_same(folder: &Path, certificate_pem: &str, authority: &Authority) -> Result<(), Error> {
    let found = inspect::parse_chain(certificate_pem).unwrap_or_default();
    let is_same = matches!(found.as_slice(), [one] if one.fingerprint == authority.inspected().fingerprint);
    if is_same {
        return Ok(());
    }
    Err(Error::OtherAuthority {
        path: folder.join(CA_FULLCHAIN),
    })
}

/// Writes a server certificate that another CA issued into the folder, which is
/// made when it does not exist; files of the same names are replaced, both or none.
pub fn write_server(folder: &Path, chain_pem: &str, key: &PrivateKeyPem) -> Result<Vec<PathBuf>, Error> {
    publish::all(folder, &server(chain_pem, key))
}

fn server<'a>(chain_pem: &'a str, key: &'a PrivateKeyPem) -> [Wanted<'a>; 2] {
    [
        Wanted::new(PRIVKEY, key.expose(), KEY_MODE),
        Wanted::new(FULLCHAIN, chain_pem, CERTIFICATE_MODE),
    ]
}

/// Writes a text that only its owner may read, in a folder that is made when it
/// does not exist.
pub fn write_private(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Error> {
    publish::all(folder, &[Wanted::new(name, text, KEY_MODE)])?;
    Ok(folder.join(name))
}

/// The text of a PEM file; `None` when it does not exist.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    match fs::read(path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let text = pem::text(&bytes).map_err(|source| Error::Pem {
                path: path.to_owned(),
                source,
            })?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
