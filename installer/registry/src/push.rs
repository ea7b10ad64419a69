//! The push itself: looks first, sends what is missing.

use std::{io::Read as _, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use oci_client::{
    Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};
use silica_oci::{Blob, Digest, Image, Layer};

use crate::{
    Address, Credentials, Error,
    error::{Attempt, status},
    token,
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the registry may be silent.
const SILENCE: Duration = Duration::from_mins(1);

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
    address: Address,
    credentials: Credentials,
    base: String,
    client: Client,
    http: reqwest::Client,
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
        let unusable = |why: String| Error::Unreachable {
            registry: address.host().to_owned(),
            why,
        };
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if let Some(pem) = &ca {
            let certificates = reqwest::Certificate::from_pem_bundle(pem);
            http = http.tls_certs_merge(certificates.map_err(|error| unusable(error.to_string()))?);
        }
        let config = ClientConfig {
            protocol: if transport.plain_http {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            // One request a blob; they are a few megabytes.
            use_monolithic_push: true,
            extra_root_certificates: ca
                .into_iter()
                .map(|data| Certificate {
                    encoding: CertificateEncoding::Pem,
                    data,
                })
                .collect(),
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: "silica",
            ..ClientConfig::default()
        };
        let scheme = if transport.plain_http { "http" } else { "https" };
        Ok(Self {
            base: format!("{scheme}://{}", address.host()),
            client: Client::try_from(config).map_err(|error| unusable(error.to_string()))?,
            http: http.build().map_err(|error| unusable(error.to_string()))?,
            address,
            credentials,
        })
    }

    /// Makes `name:tag` stand for `images`: one, or one for each architecture.
    pub async fn push(&self, name: &str, tag: &str, images: &[Image]) -> Result<Pushed, Error> {
        let image = format!("{}/{}:{tag}", self.address.host(), self.address.repository(name));
        let build = |source| Error::Image {
            image: image.clone(),
            source,
        };
        let repository = self.address.repository(name);
        let user = self.credentials.describe();
        let attempt = |action| Attempt {
            registry: self.address.host(),
            repository: &repository,
            action,
            user: &user,
        };
        let reference =
            |tag: String| Reference::with_tag(self.address.host().to_owned(), repository.clone(), tag);
        let target = reference(tag.to_owned());
        let auth = self.authorize(&repository, &attempt("log in for")).await?;
        self.client
            .auth(&target, &auth, RegistryOperation::Push)
            .await
            .map_err(|error| attempt("log in for").failed(&error))?;

        let digest = silica_oci::digest(&image, images).map_err(build)?;
        let mut pushed = Pushed {
            digest,
            sent: 0,
            present: 0,
        };
        if self
            .is_there(&target, &auth, digest, &attempt("look for"))
            .await?
        {
            pushed.present = 1;
            return Ok(pushed);
        }
        for image in images {
            for layer in &image.layers {
                let content = || read_layer(layer, name);
                self.push_blob(&target, layer.digest(), content, &attempt, &mut pushed)
                    .await?;
            }
            let config = image.config_blob().map_err(build)?;
            let content = || Ok(config.bytes.clone().into());
            self.push_blob(&target, config.digest, content, &attempt, &mut pushed)
                .await?;
        }
        let send = async |target: &Reference, manifest: Blob, pushed: &mut Pushed| {
            let kind = HeaderValue::from_static(manifest.media_type);
            let sent = self.client.push_manifest_raw(target, manifest.bytes, kind).await;
            sent.map_err(|error| attempt("push the manifest of").failed(&error))?;
            pushed.sent += 1;
            Ok::<_, Error>(())
        };
        match images {
            [image] => {
                send(&target, image.manifest().map_err(build)?, &mut pushed).await?;
            }
            several => {
                for image in several {
                    // By a tag of its own: registries may drop manifests without one.
                    let own = reference(format!("{tag}-{}", image.config.architecture));
                    send(&own, image.manifest().map_err(build)?, &mut pushed).await?;
                }
                let index = silica_oci::index(&image, several).map_err(build)?;
                send(&target, index, &mut pushed).await?;
            }
        }
        Ok(pushed)
    }

    async fn authorize(&self, repository: &str, attempt: &Attempt<'_>) -> Result<RegistryAuth, Error> {
        Ok(match &self.credentials {
            Credentials::Anonymous => RegistryAuth::Anonymous,
            Credentials::Basic { user, password } => RegistryAuth::Basic(user.clone(), password.clone()),
            Credentials::Identity(token) => {
                let token = token::exchange(&self.http, &self.base, token, repository, attempt).await?;
                RegistryAuth::Bearer(token)
            }
        })
    }

    /// Whether the name stands for this content already.
    async fn is_there(
        &self,
        target: &Reference,
        auth: &RegistryAuth,
        digest: Digest,
        attempt: &Attempt<'_>,
    ) -> Result<bool, Error> {
        match self.client.fetch_manifest_digest(target, auth).await {
            Ok(found) => Ok(found == digest.to_string()),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(attempt.failed(&error)),
        }
    }

    async fn push_blob<'a>(
        &self,
        target: &Reference,
        digest: Digest,
        content: impl Fn() -> Result<Bytes, Error>,
        attempt: &impl Fn(&'static str) -> Attempt<'a>,
        pushed: &mut Pushed,
    ) -> Result<(), Error> {
        let digest = digest.to_string();
        let exists = self.client.blob_exists(target, &digest).await;
        if exists.map_err(|error| attempt("look for blobs of").failed(&error))? {
            pushed.present += 1;
            return Ok(());
        }
        self.client
            .push_blob(target, content()?, &digest)
            .await
            .map_err(|error| attempt("push a blob of").failed(&error))?;
        pushed.sent += 1;
        Ok(())
    }
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
