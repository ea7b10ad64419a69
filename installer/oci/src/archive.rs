//! Packs images into one tar file that is an OCI image layout and a Docker archive at once.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use serde_json::json;

use crate::image::{Image, MANIFEST_TYPE};
use crate::{Digest, Error};

/// Writes an OCI layout archive that holds all `images`; a blob that several of them
/// share is written once. Layers are streamed, never held in memory as a whole.
///
/// Each image is named twice in `index.json`: `io.containerd.image.name` with the full
/// reference (containerd keeps it as the image's name) and
/// `org.opencontainers.image.ref.name` with the tag (OCI `annotations.md`).
///
/// `manifest.json` names the same blobs for `docker load`, which reads nothing else unless Docker
/// keeps its images in containerd; `docker save` writes both as well. Who knows the OCI layout
/// prefers that.
pub fn write_archive(images: &[Image], output: impl Write) -> Result<(), Error> {
    let mut archive = Archive {
        builder: tar::Builder::new(output),
        written: BTreeSet::new(),
    };
    archive.add("oci-layout", 30, &mut &br#"{"imageLayoutVersion":"1.0.0"}"#[..])?;
    let index = serde_json::to_vec(&render_index(images)?).map_err(|source| Error::Render {
        document: "index",
        reference: images
            .iter()
            .map(|image| image.reference.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        source,
    })?;
    archive.add("index.json", index.len() as u64, &mut index.as_slice())?;
    let manifest = docker_manifest(images)?.to_string();
    archive.add("manifest.json", manifest.len() as u64, &mut manifest.as_bytes())?;
    for image in images {
        for blob in [image.manifest()?, image.config_blob()?] {
            archive.add_blob(blob.digest, blob.bytes.len() as u64, &mut blob.bytes.as_slice())?;
        }
        for layer in &image.layers {
            archive.add_blob(layer.digest(), layer.size(), &mut *layer.reader()?)?;
        }
    }
    let closed = archive.builder.into_inner().and_then(|mut output| output.flush());
    closed.map_err(|source| Error::WriteArchive {
        path: "the end mark".to_owned(),
        source,
    })
}

fn render_index(images: &[Image]) -> Result<serde_json::Value, Error> {
    let manifests = images
        .iter()
        .map(|image| {
            let manifest = image.manifest()?;
            Ok(json!({
                "mediaType": MANIFEST_TYPE,
                "digest": manifest.digest.to_string(),
                "size": manifest.bytes.len(),
                "annotations": {
                    "io.containerd.image.name": image.reference,
                    "org.opencontainers.image.ref.name": image.tag()?,
                },
                "platform": { "architecture": image.config.architecture, "os": "linux" },
            }))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }))
}

/// What `docker load` reads (Docker image specification 1.2, "Combined Image JSON").
fn docker_manifest(images: &[Image]) -> Result<serde_json::Value, Error> {
    images
        .iter()
        .map(|image| {
            let layers: Vec<String> = image
                .layers
                .iter()
                .map(|layer| blob_path(layer.digest()))
                .collect();
            Ok(json!({
                "Config": blob_path(image.config_blob()?.digest),
                "RepoTags": [image.reference],
                "Layers": layers,
            }))
        })
        .collect()
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

struct Archive<W: Write> {
    builder: tar::Builder<W>,
    written: BTreeSet<Digest>,
}

impl<W: Write> Archive<W> {
    fn add_blob(&mut self, digest: Digest, size: u64, content: &mut dyn Read) -> Result<(), Error> {
        if self.written.insert(digest) {
            self.add(&blob_path(digest), size, content)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<(), Error> {
        self.try_add(path, size, content)
            .map_err(|source| Error::WriteArchive {
                path: path.to_owned(),
                source,
            })
    }

    fn try_add(&mut self, path: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        self.builder.append_data(&mut header, path, content)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Compression, Entry, ImageConfig, Layer};

    fn archive(images: &[Image]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_archive(images, &mut bytes).unwrap();
        bytes
    }

    fn image(name: &str, layer: &Layer) -> Image {
        Image {
            reference: format!("silica.invalid/{name}:1"),
            layers: vec![layer.clone()],
            config: ImageConfig {
                entrypoint: vec!["/a".into()],
                ..ImageConfig::default()
            },
        }
    }

    fn contents(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let replaced = files.insert(entry.path().unwrap().display().to_string(), content);
            assert!(replaced.is_none(), "a path is there twice");
        }
        files
    }

    #[test]
    fn every_blob_is_stored_under_its_digest_and_shared_ones_once() {
        let layer = Layer::from_entries(vec![Entry::file("/a", 0o755, *b"1")], Compression::Gzip).unwrap();
        let bytes = archive(&[image("one", &layer), image("two", &layer)]);
        let files = contents(&bytes);
        for (path, content) in &files {
            if let Some(hex) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(Digest::of(content).hex(), hex);
            }
        }
        // Both images are the same but for their names: one manifest, one configuration, one layer.
        assert_eq!(files.keys().filter(|path| path.starts_with("blobs/")).count(), 3);
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let annotations = &index["manifests"][1]["annotations"];
        assert_eq!(annotations["io.containerd.image.name"], "silica.invalid/two:1");
        assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
    }

    #[test]
    fn docker_finds_names_configuration_and_layers() {
        let layer = Layer::from_entries(vec![Entry::file("/a", 0o755, *b"1")], Compression::Gzip).unwrap();
        let files = contents(&archive(&[image("one", &layer)]));
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "silica.invalid/one:1");
        let config: serde_json::Value =
            serde_json::from_slice(&files[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        let layers = manifest[0]["Layers"].as_array().unwrap();
        assert_eq!(
            config["rootfs"]["diff_ids"].as_array().unwrap().len(),
            layers.len()
        );
        assert!(files.contains_key(layers[0].as_str().unwrap()));
    }

    #[test]
    fn layout_file_is_complete() {
        let files = contents(&archive(&[]));
        let layout: serde_json::Value = serde_json::from_slice(&files["oci-layout"]).unwrap();
        assert_eq!(layout["imageLayoutVersion"], "1.0.0");
    }
}
