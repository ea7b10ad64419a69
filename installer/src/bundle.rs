//! The server binaries that this CLI carries, and the image tags made from them.

use std::io::{self, Read};

use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest, Sha256};
use silica_api::names;

static MANAGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sandbox-manager.zst"));
static RUNTIME: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sandbox-runtime.zst"));

/// Why the bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This CLI was built without binaries.
    #[error("this silica carries no server binaries: it was built without a bundle")]
    Empty,
    /// The embedded data is damaged.
    #[error("failed to decompress {member}")]
    Decompress { member: &'static str, source: io::Error },
}

/// One server binary.
#[derive(Clone)]
pub struct Member {
    /// Name of the image, without registry and tag.
    pub name: &'static str,
    /// The executable itself.
    pub binary: Vec<u8>,
    /// Image tag: version and the first 12 hex digits of the binary's SHA-256,
    /// so that another binary is always another image.
    pub tag: String,
}

impl Member {
    /// Reference under which the image reaches a node without a registry.
    pub fn reference(&self) -> String {
        names::local_image(self.name, &self.tag)
    }

    fn new(name: &'static str, binary: Vec<u8>) -> Self {
        let tag = tag(env!("CARGO_PKG_VERSION"), &binary);
        Self { name, binary, tag }
    }
}

/// Both server binaries.
#[derive(Clone)]
pub struct Bundle {
    /// `sandbox-manager`, both roles.
    pub manager: Member,
    /// `sandbox-runtime`.
    pub runtime: Member,
}

/// Whether this CLI carries binaries.
pub fn is_present() -> bool {
    !MANAGER.is_empty() && !RUNTIME.is_empty()
}

/// Unpacks the embedded binaries.
pub fn unpack() -> Result<Bundle, Error> {
    if !is_present() {
        return Err(Error::Empty);
    }
    Ok(Bundle {
        manager: Member::new(names::MANAGER_IMAGE, decompress("sandbox-manager", MANAGER)?),
        runtime: Member::new(names::RUNTIME_IMAGE, decompress("sandbox-runtime", RUNTIME)?),
    })
}

fn decompress(member: &'static str, data: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Decompress { member, source };
    let mut decoder =
        StreamingDecoder::new(data).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let mut binary = Vec::new();
    decoder.read_to_end(&mut binary).map_err(failed)?;
    Ok(binary)
}

fn tag(version: &str, binary: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(binary);
    digest
        .iter()
        .take(6)
        .fold(format!("{version}-"), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_binary_is_another_tag() {
        assert_eq!(tag("0.1.0", b"abc"), "0.1.0-ba7816bf8f01");
        assert_ne!(tag("0.1.0", b"abc"), tag("0.1.0", b"abd"));
    }

    #[test]
    fn damaged_data_is_an_error() {
        assert!(matches!(
            decompress("x", b"not zstd"),
            Err(Error::Decompress { member: "x", .. })
        ));
    }
}
