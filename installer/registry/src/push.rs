//! The push itself: looks first, sends what is missing.

use std::{io::Read as _, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use oci_client::Reference;
use silica_oci::{Blob, Digest, Image, Layer};

use crate::{Address, Credentials, Error, error::status, session::Session};

/// How long a connection may take to be made.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// How long the registry may be silent.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);

/// How the registry is spoken to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transport {
    /// Without TLS.
    pub plain_http: bool,
    /// PEM file with a CA to trust beside those of this machine.
    pub ca: Option<PathBuf>,
}

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

/// A registry, spoken to with credentials.
pub struct Registry {
    pub(crate) address: Address,
    pub(crate) credentials: Credentials,
    pub(crate) plain_http: bool,
    /// A CA to trust beside those of this machine, as PEM.
    pub(crate) ca: Option<Vec<u8>>,
    /// For what is asked before and beside the registry's own protocol.
    pub(crate) http: reqwest::Client,
}

impl Registry {
    /// Prepares a client; nothing is sent yet.
    pub fn new(address: Address, transport: &Transport, credentials: Credentials) -> Result<Self, Error> {
        let ca = match &transport.ca {
            None => None,
            Some(path) => Some(std::fs::read(path).map_err(|source| Error::ReadFile {
                what: "the registry's CA",
                path: path.clone(),
                source,
            })?),
        };
        let unusable = |error: reqwest::Error| Error::Unreachable {
            registry: address.host().to_owned(),
            why: error.to_string(),
        };
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if let Some(pem) = &ca {
            http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem).map_err(unusable)?);
        }
        Ok(Self {
            http: http.build().map_err(unusable)?,
            address,
            credentials,
            plain_http: transport.plain_http,
            ca,
        })
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.plain_http { "http" } else { "https" }
    }

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
