//! The push itself: looks first, sends what is missing.

use std::io::Read as _;

use bytes::Bytes;
use http::HeaderValue;
use oci_client::Reference;
use silica_oci::{Blob, Digest, Image, Layer};

use crate::{Error, Registry, error::status, session::Session};

/// What a push did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pushed {
    /// What the name stands for now: a manifest, or an index of several.
    pub digest: Digest,
    /// Blobs and manifests that were sent.
    pub sent: usize,
    /// Blobs and manifests that were there.
    pub present: usize,
}

impl Registry {
    /// Makes `name:tag` stand for `images`: one, or one for each architecture.
    pub async fn push(&self, name: &str, tag: &str, images: &[Image]) -> Result<Pushed, Error> {
        let repository = self.address.repository(name);
        let image = format!("{}/{repository}:{tag}", self.address.host());
        let build = |source| Error::Image {
            image: image.clone(),
            source,
        };
        let mut session = Session::open(self, repository).await?;
        let target = session.reference(tag);
        let digest = silica_oci::digest(&image, images).map_err(build)?;
        let mut pushed = Pushed {
            digest,
            sent: 0,
            present: 0,
        };
        if is_there(&mut session, &target, digest).await? {
            pushed.present = 1;
            return Ok(pushed);
        }
        for image in images {
            for layer in &image.layers {
                let content = || read_layer(layer, name);
                push_blob(&mut session, &target, layer.digest(), content, &mut pushed).await?;
            }
            let config = image.config_blob().map_err(build)?;
            let content = || Ok(config.bytes.clone().into());
            push_blob(&mut session, &target, config.digest, content, &mut pushed).await?;
        }
        match images {
            [image] => {
                let manifest = image.manifest().map_err(build)?;
                push_manifest(&mut session, &target, manifest, &mut pushed).await?;
            }
            several => {
                for image in several {
                    // By a tag of its own: registries may drop manifests without one.
                    let own = session.reference(&format!("{tag}-{}", image.config.architecture));
                    let manifest = image.manifest().map_err(build)?;
                    push_manifest(&mut session, &own, manifest, &mut pushed).await?;
                }
                let index = silica_oci::index(&image, several).map_err(build)?;
                push_manifest(&mut session, &target, index, &mut pushed).await?;
            }
        }
        Ok(pushed)
    }
}

/// Whether the name stands for this content already.
async fn is_there(session: &mut Session<'_>, target: &Reference, digest: Digest) -> Result<bool, Error> {
    let found = session
        .run("look for", async |client, auth| {
            match client.fetch_manifest_digest(target, auth).await {
                Ok(found) => Ok(Some(found)),
                Err(error) if status(&error) == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await?;
    Ok(found.is_some_and(|found| found == digest.to_string()))
}

async fn push_blob(
    session: &mut Session<'_>,
    target: &Reference,
    digest: Digest,
    content: impl Fn() -> Result<Bytes, Error>,
    pushed: &mut Pushed,
) -> Result<(), Error> {
    let digest = digest.to_string();
    let is_present = session
        .run("look for blobs of", async |client, _| {
            client.blob_exists(target, &digest).await
        })
        .await?;
    if is_present {
        pushed.present += 1;
        return Ok(());
    }
    let content = content()?;
    session
        .run("push a blob of", async |client, _| {
            client.push_blob(target, content.clone(), &digest).await
        })
        .await?;
    pushed.sent += 1;
    Ok(())
}

async fn push_manifest(
    session: &mut Session<'_>,
    target: &Reference,
    manifest: Blob,
    pushed: &mut Pushed,
) -> Result<(), Error> {
    let content = Bytes::from(manifest.bytes);
    session
        .run("push the manifest of", async |client, _| {
            let kind = HeaderValue::from_static(manifest.media_type);
            client.push_manifest_raw(target, content.clone(), kind).await
        })
        .await?;
    pushed.sent += 1;
    Ok(())
}

fn read_layer(layer: &Layer, image: &str) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    let mut reader = layer.reader().map_err(|source| Error::Image {
        image: image.to_owned(),
        source,
    })?;
    reader.read_to_end(&mut bytes).map_err(|source| Error::Layer {
        image: image.to_owned(),
        source,
    })?;
    Ok(bytes.into())
}
