//! One name for the images of several architectures.

use serde_json::json;

use crate::image::{Blob, Image};
use crate::{Digest, Error};

/// Media type of an image index.
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The image index (OCI `image-index.md`) that offers each of `images` to nodes of its
/// architecture. Same input, same digest; the order of `images` does not matter.
pub fn index(reference: &str, images: &[Image]) -> Result<Blob, Error> {
    let mut entries = images
        .iter()
        .map(|image| Ok((image.config.architecture.as_str(), image.manifest()?)))
        .collect::<Result<Vec<_>, Error>>()?;
    entries.sort_by_key(|(architecture, manifest)| (*architecture, manifest.digest));
    let manifests: Vec<_> = entries
        .iter()
        .map(|(architecture, manifest)| {
            json!({
                "mediaType": manifest.media_type,
                "digest": manifest.digest.to_string(),
                "size": manifest.bytes.len(),
                "platform": { "architecture": architecture, "os": "linux" },
            })
        })
        .collect();
    let document = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests});
    Blob::render("index", INDEX_TYPE, reference, &document)
}

/// Digest of what a name stands for: of the manifest of one image, else of the index.
pub fn digest(reference: &str, images: &[Image]) -> Result<Digest, Error> {
    match images {
        [image] => image.digest(),
        several => Ok(index(reference, several)?.digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compression, Entry, ImageConfig, Layer};

    fn image(architecture: &str) -> Image {
        let entries = vec![Entry::file("/a", 0o755, architecture.as_bytes())];
        Image {
            reference: "silica.invalid/a:1".into(),
            layers: vec![Layer::from_entries(entries, Compression::Gzip).unwrap()],
            config: ImageConfig {
                architecture: architecture.into(),
                ..ImageConfig::default()
            },
        }
    }

    #[test]
    fn every_architecture_has_its_manifest_whatever_the_order() {
        let (amd64, arm64) = (image("amd64"), image("arm64"));
        let one = index("a:1", &[amd64.clone(), arm64.clone()]).unwrap();
        let other = index("a:1", &[arm64.clone(), amd64.clone()]).unwrap();
        assert_eq!(one, other);
        let document: serde_json::Value = serde_json::from_slice(&one.bytes).unwrap();
        for (entry, image) in [(0, &amd64), (1, &arm64)] {
            let entry = &document["manifests"][entry];
            assert_eq!(entry["digest"], image.digest().unwrap().to_string());
            assert_eq!(entry["platform"]["architecture"], image.config.architecture);
        }
    }

    #[test]
    fn a_single_image_needs_no_index() {
        let image = image("amd64");
        assert_eq!(
            digest("a:1", std::slice::from_ref(&image)).unwrap(),
            image.digest().unwrap()
        );
    }
}
