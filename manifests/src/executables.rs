//! Executables, cut so that they fit into ConfigMaps.

use std::fmt;

use silica_api::carried::{CHUNK_BYTES, CHUNK_PREFIX, LOADER};

/// Executables that travel in ConfigMaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// Image that the nodes have, for containers to run on.
    pub image: String,
    /// The loader, ready to run.
    pub loader: Packed,
    /// `sandbox-manager`.
    pub manager: Packed,
    /// `sandbox-runtime`.
    pub runtime: Packed,
}

/// One executable, cut into chunks.
#[derive(Clone, PartialEq)]
pub struct Packed {
    /// SHA-256 of the executable itself, lower-case hex.
    pub sha256: String,
    /// ConfigMaps by name: key and content.
    pub(crate) chunks: Vec<(String, String, Vec<u8>)>,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} chunks", self.sha256, self.chunks.len())
    }
}

impl Packed {
    /// An executable that is compressed and cut: `hash` gives the hex SHA-256 of a chunk.
    pub fn cut(name: &str, sha256: String, compressed: &[u8], hash: impl Fn(&[u8]) -> String) -> Self {
        let chunks = compressed
            .chunks(CHUNK_BYTES)
            .enumerate()
            .map(|(index, chunk)| {
                let key = format!("{CHUNK_PREFIX}{index:02}");
                (
                    map_name(&format!("{name}-{index:02}"), &hash(chunk)),
                    key,
                    chunk.to_vec(),
                )
            })
            .collect();
        Self { sha256, chunks }
    }

    /// The loader, which has to be in one piece.
    pub fn whole(sha256: String, executable: Vec<u8>) -> Self {
        let chunk = (map_name(LOADER, &sha256), LOADER.to_owned(), executable);
        Self {
            sha256,
            chunks: vec![chunk],
        }
    }

    /// Names of the ConfigMaps.
    pub fn config_maps(&self) -> impl Iterator<Item = String> {
        self.chunks.iter().map(|(name, ..)| name.clone())
    }
}

fn map_name(name: &str, sha256: &str) -> String {
    format!("{name}-{}", &sha256[..sha256.len().min(12)])
}

impl Carried {
    /// ConfigMaps that bring the manager.
    pub fn manager_maps(&self) -> Vec<String> {
        self.loader
            .config_maps()
            .chain(self.manager.config_maps())
            .collect()
    }

    /// ConfigMaps that bring the runtime.
    pub fn runtime_maps(&self) -> Vec<String> {
        self.loader
            .config_maps()
            .chain(self.runtime.config_maps())
            .collect()
    }
}

/// Small executables, for tests.
#[cfg(test)]
pub(crate) fn example() -> Carried {
    let hash = |bytes: &[u8]| format!("{:064x}", bytes.len());
    Carried {
        image: "registry.k8s.io/pause:3.10".into(),
        loader: Packed::whole("1".repeat(64), vec![1; 10]),
        manager: Packed::cut("sandbox-manager", "2".repeat(64), &vec![2; CHUNK_BYTES + 1], hash),
        runtime: Packed::cut("sandbox-runtime", "3".repeat(64), &[3; 5], hash),
    }
}
