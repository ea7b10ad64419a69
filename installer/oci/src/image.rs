//! An image: reference, configuration, layers; and the two JSON documents made of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::{Digest, Error, Layer};

/// Media type of an image manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image configuration.
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// An image under one full reference.
#[derive(Clone, Debug)]
pub struct Image {
    /// Full reference with registry and tag, e.g. `silica.invalid/base:1a2b`.
    pub reference: String,
    /// From the bottom to the top.
    pub layers: Vec<Layer>,
    /// What runs, and how.
    pub config: ImageConfig,
}

/// The part of the image configuration that Silica uses (OCI `config.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// Program and fixed arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments, replaced when a pod gives its own.
    pub cmd: Vec<String>,
    /// `NAME=value` lines.
    pub env: Vec<String>,
    /// Working directory; empty means `/`.
    pub workdir: String,
    /// `user`, `uid` or `uid:gid`; empty means root.
    pub user: String,
    /// Image labels.
    pub labels: BTreeMap<String, String>,
    /// Go's name of the processor architecture, e.g. `amd64`.
    pub architecture: String,
}

impl Default for ImageConfig {
    /// Nothing to run, root, `/`, this machine's architecture.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: Vec::new(),
            workdir: String::new(),
            user: String::new(),
            labels: BTreeMap::new(),
            architecture: architecture.to_owned(),
        }
    }
}

/// A small JSON document of an image, addressed by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// OCI media type.
    pub media_type: &'static str,
    /// The exact bytes that `digest` covers.
    pub bytes: Vec<u8>,
    /// Digest of `bytes`.
    pub digest: Digest,
}

impl Blob {
    pub(crate) fn render(
        document: &'static str,
        media_type: &'static str,
        reference: &str,
        content: &impl Serialize,
    ) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(content).map_err(|source| Error::Render {
            document,
            reference: reference.to_owned(),
            source,
        })?;
        let digest = Digest::of(&bytes);
        Ok(Self {
            media_type,
            bytes,
            digest,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfig<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    entrypoint: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    cmd: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    env: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    working_dir: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

impl Image {
    /// The image's identity: the digest of its manifest. Same input, same digest.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(self.manifest()?.digest)
    }

    /// The image configuration document.
    pub fn config_blob(&self) -> Result<Blob, Error> {
        let config = &self.config;
        let run = RunConfig {
            entrypoint: &config.entrypoint,
            cmd: &config.cmd,
            env: &config.env,
            working_dir: &config.workdir,
            user: &config.user,
            labels: &config.labels,
        };
        let diff_ids: Vec<String> = self
            .layers
            .iter()
            .map(|layer| layer.diff_id().to_string())
            .collect();
        let document = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": config.architecture,
            "os": "linux",
            "config": run,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        Blob::render("configuration", CONFIG_TYPE, &self.reference, &document)
    }

    /// The manifest document, which names the configuration and every layer.
    pub fn manifest(&self) -> Result<Blob, Error> {
        let config = self.config_blob()?;
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| descriptor(layer.media_type(), layer.digest(), layer.size()))
            .collect();
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(config.media_type, config.digest, config.bytes.len() as u64),
            "layers": layers,
        });
        Blob::render("manifest", MANIFEST_TYPE, &self.reference, &document)
    }

    /// The part of the reference behind the last colon.
    pub fn tag(&self) -> Result<&str, Error> {
        let refused = || Error::Reference {
            reference: self.reference.clone(),
        };
        let (name, tag) = self.reference.rsplit_once(':').ok_or_else(refused)?;
        let complete = name.contains('/') && !tag.is_empty() && !tag.contains('/');
        complete.then_some(tag).ok_or_else(refused)
    }
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compression, Entry};

    fn image(content: &[u8]) -> Image {
        let entries = vec![Entry::file("/pause", 0o755, content)];
        Image {
            reference: "silica.invalid/pause:1".into(),
            layers: vec![Layer::from_entries(entries, Compression::Gzip).unwrap()],
            config: ImageConfig {
                entrypoint: vec!["/pause".into()],
                ..ImageConfig::default()
            },
        }
    }

    #[test]
    fn same_input_gives_the_same_digest() {
        assert_eq!(image(b"x").digest().unwrap(), image(b"x").digest().unwrap());
        assert_ne!(image(b"x").digest().unwrap(), image(b"y").digest().unwrap());
    }

    #[test]
    fn reference_without_tag_is_refused() {
        for reference in [
            "silica.invalid/pause",
            "localhost:5000/pause",
            "pause:1",
            "silica.invalid/pause:",
        ] {
            let image = Image {
                reference: reference.into(),
                ..image(b"x")
            };
            assert!(image.tag().is_err(), "{reference}");
        }
    }
}
