//! The executables that this CLI carries, and the image tags made from them.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::OnceLock,
};

use ruzstd::decoding::StreamingDecoder;
use silica_api::names;
use silica_oci::{Digest, Image};

/// One file of the bundle; empty when the bundle has none.
macro_rules! embedded {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".zst"))
    };
}

/// Compressed executables of one kind, by architecture.
type Embedded = [(Architecture, &'static [u8]); 2];

static MANAGER: Embedded = [
    (Architecture::Amd64, embedded!("sandbox-manager")),
    (Architecture::Arm64, embedded!("sandbox-manager.arm64")),
];
static RUNTIME: Embedded = [
    (Architecture::Amd64, embedded!("sandbox-runtime")),
    (Architecture::Arm64, embedded!("sandbox-runtime.arm64")),
];
static LOADER: Embedded = [
    (Architecture::Amd64, embedded!("silica-loader")),
    (Architecture::Arm64, embedded!("silica-loader.arm64")),
];

/// Why the bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This CLI was built without binaries.
    #[error("this silica carries no server binaries: it was built without a bundle")]
    Empty,
    /// The embedded data is damaged.
    #[error("failed to decompress {member}")]
    Decompress { member: &'static str, source: io::Error },
    /// There is nothing for this architecture.
    #[error("this silica carries no {member} for {}", architecture.name())]
    Architecture {
        member: &'static str,
        architecture: Architecture,
    },
}

/// A processor architecture that executables are carried for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Architecture {
    /// Go's name, which images and nodes use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// By Go's name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Amd64, Self::Arm64]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// One executable.
#[derive(Clone)]
pub struct Part {
    /// The executable itself.
    pub binary: Vec<u8>,
    /// The same, as a Zstandard stream.
    pub compressed: &'static [u8],
}

/// A program, for one architecture or several.
#[derive(Clone)]
pub struct Member {
    /// Name of the program and of its image, without registry and tag.
    pub name: &'static str,
    /// The executables.
    pub parts: BTreeMap<Architecture, Part>,
    /// Image tag: version and the first 12 hex digits of the binary's SHA-256,
    /// so that another binary is always another image.
    pub tag: String,
    /// The images for a registry, see [`crate::delivery::images::build`].
    pub for_registry: OnceLock<Vec<Image>>,
}

impl Member {
    pub(crate) fn new(
        name: &'static str,
        parts: impl IntoIterator<Item = (Architecture, Vec<u8>, &'static [u8])>,
    ) -> Self {
        let parts: BTreeMap<_, _> = parts
            .into_iter()
            .map(|(architecture, binary, compressed)| (architecture, Part { binary, compressed }))
            .collect();
        let binaries: Vec<&[u8]> = parts.values().map(|part| part.binary.as_slice()).collect();
        let tag = tag(env!("CARGO_PKG_VERSION"), &binaries);
        Self {
            name,
            parts,
            tag,
            for_registry: OnceLock::new(),
        }
    }

    fn unpack(name: &'static str, embedded: &Embedded) -> Result<Self, Error> {
        let parts = embedded
            .iter()
            .filter(|(_, data)| !data.is_empty())
            .map(|(architecture, data)| Ok((*architecture, decompress(name, data)?, *data)))
            .collect::<Result<Vec<_>, Error>>()?;
        if parts.is_empty() {
            return Err(Error::Empty);
        }
        Ok(Self::new(name, parts))
    }

    /// Reference under which the image reaches a node without a registry.
    pub fn reference(&self) -> String {
        names::local_image(self.name, &self.tag)
    }

    /// The executable for an architecture.
    pub fn of(&self, architecture: Architecture) -> Result<&Part, Error> {
        self.parts.get(&architecture).ok_or(Error::Architecture {
            member: self.name,
            architecture,
        })
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

impl Bundle {
    /// Architectures that both binaries are there for.
    pub fn architectures(&self) -> Vec<Architecture> {
        let there = self.manager.parts.keys().copied();
        there
            .filter(|architecture| self.runtime.parts.contains_key(architecture))
            .collect()
    }
}

/// Whether this CLI carries binaries.
pub fn is_present() -> bool {
    let has = |embedded: &Embedded| embedded.iter().any(|(_, data)| !data.is_empty());
    has(&MANAGER) && has(&RUNTIME)
}

/// Whether this CLI carries a loader, for executables in ConfigMaps.
pub fn has_loader() -> bool {
    LOADER.iter().any(|(_, data)| !data.is_empty())
}

/// Unpacks the embedded binaries.
pub fn unpack() -> Result<Bundle, Error> {
    Ok(Bundle {
        manager: Member::unpack(names::MANAGER_IMAGE, &MANAGER)?,
        runtime: Member::unpack(names::RUNTIME_IMAGE, &RUNTIME)?,
    })
}

/// Unpacks the loader.
pub fn loader(architecture: Architecture) -> Result<Vec<u8>, Error> {
    let member = silica_api::carried::LOADER;
    let found = LOADER
        .iter()
        .find(|(of, data)| *of == architecture && !data.is_empty());
    let (_, data) = found.ok_or(Error::Architecture { member, architecture })?;
    decompress(member, data)
}

fn decompress(member: &'static str, data: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Decompress { member, source };
    let mut decoder =
        StreamingDecoder::new(data).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let mut binary = Vec::new();
    decoder.read_to_end(&mut binary).map_err(failed)?;
    Ok(binary)
}

/// SHA-256 in lower-case hex.
pub fn sha256(content: &[u8]) -> String {
    Digest::of(content).hex()
}

fn tag(version: &str, binaries: &[&[u8]]) -> String {
    let digest = match binaries {
        [binary] => sha256(binary),
        several => {
            let all: Vec<String> = several.iter().map(|binary| sha256(binary)).collect();
            sha256(all.join("\n").as_bytes())
        }
    };
    format!("{version}-{}", &digest[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_binary_is_another_tag() {
        assert_eq!(tag("0.1.0", &[b"abc"]), "0.1.0-ba7816bf8f01");
        assert_ne!(tag("0.1.0", &[b"abc"]), tag("0.1.0", &[b"abd"]));
        assert_ne!(tag("0.1.0", &[b"abc", b"x"]), tag("0.1.0", &[b"abc", b"y"]));
    }

    #[test]
    fn damaged_data_is_an_error() {
        assert!(matches!(
            decompress("x", b"not zstd"),
            Err(Error::Decompress { member: "x", .. })
        ));
    }
}
