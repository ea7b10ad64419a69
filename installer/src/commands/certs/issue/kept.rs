//! What is kept between two orders: the account in the folder of the files, or
//! account and settings in a Secret.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, core::ObjectMeta};
use silica_acme::{Account, Credentials, Directory, Settings};
use silica_api::{labels, names};
use silica_certs::files;
use silica_manifests::Object;

use crate::{
    cli::error::Error,
    cluster::{
        Cluster,
        apply::{self, Conflicts},
        request,
    },
    commands::certs::error::Error as CertsError,
};

/// File with the account, readable by its owner only.
const ACCOUNT_FILE: &str = "acme-account.json";

/// An account with the CA that it is at.
pub(super) struct Kept {
    pub(super) directory: Directory,
    pub(super) credentials: Credentials,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) account: Option<Kept>,
    pub(super) settings: Option<Settings>,
}

/// Where it is kept.
pub(super) enum Place {
    /// Beside the files.
    Folder(PathBuf),
    /// In a Secret.
    Cluster(Box<Cluster>),
}

impl Place {
    fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.join(ACCOUNT_FILE).display().to_string(),
            Self::Cluster(_) => format!("Secret {}/{}", names::NAMESPACE, names::ACME_SECRET),
        }
    }

    fn damaged(&self, why: &impl ToString) -> Error {
        CertsError::Kept {
            place: self.name(),
            why: why.to_string(),
        }
        .into()
    }

    /// Reads what there is.
    pub(super) async fn read(&self) -> Result<Found, Error> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(ACCOUNT_FILE);
                match fs::read_to_string(&path) {
                    Ok(text) => Ok(Found {
                        account: Some(self.account(text)?),
                        settings: None,
                    }),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::default()),
                    Err(source) => Err(files::Error::Read { path, source }.into()),
                }
            }
            Self::Cluster(cluster) => {
                let api: Api<Secret> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
                let secret = api
                    .get_opt(names::ACME_SECRET)
                    .await
                    .map_err(request("read", self.name()))?;
                let mut data = secret.and_then(|secret| secret.data).unwrap_or_default();
                let mut text = |key: &str| data.remove(key).map(|bytes| String::from_utf8(bytes.0));
                let account = match text(names::ACME_ACCOUNT_KEY) {
                    Some(text) => Some(self.account(text.map_err(|error| self.damaged(&error))?)?),
                    None => None,
                };
                let settings = match text(names::ACME_SETTINGS_KEY) {
                    Some(Ok(text)) => {
                        Some(serde_json::from_str(&text).map_err(|error| self.damaged(&place_of(&error)))?)
                    }
                    Some(Err(error)) => return Err(self.damaged(&error)),
                    None => None,
                };
                Ok(Found { account, settings })
            }
        }
    }

    fn account(&self, text: String) -> Result<Kept, Error> {
        let parsed: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| self.damaged(&place_of(&error)))?;
        let directory = parsed["directory"].as_str().unwrap_or_default().parse();
        Ok(Kept {
            directory: directory.map_err(|error: silica_acme::directory::Error| self.damaged(&error))?,
            credentials: Credentials::from_json(text),
        })
    }

    /// Keeps a new account, before it is used: an order that fails must not
    /// make another one next time.
    pub(super) async fn write_account(&self, account: &Account, settings: &Settings) -> Result<(), Error> {
        match self {
            Self::Folder(folder) => {
                files::write_private(folder, ACCOUNT_FILE, account.credentials().expose())?;
                Ok(())
            }
            Self::Cluster(cluster) => {
                apply(cluster, account.credentials().expose(), &self.json(settings)?).await
            }
        }
    }

    /// Keeps the settings beside the account; a folder keeps none.
    pub(super) async fn write_settings(&self, settings: &Settings) -> Result<(), Error> {
        match (self, self.read().await?.account) {
            (Self::Cluster(cluster), Some(kept)) => {
                apply(cluster, kept.credentials.expose(), &self.json(settings)?).await
            }
            _ => Ok(()),
        }
    }

    fn json(&self, settings: &Settings) -> Result<String, Error> {
        serde_json::to_string(settings).map_err(|error| self.damaged(&place_of(&error)))
    }
}

/// Where the JSON is wrong, without what stands there: it may be a secret.
fn place_of(error: &serde_json::Error) -> String {
    format!(
        "not the JSON it should be at line {} column {}",
        error.line(),
        error.column()
    )
}

async fn apply(cluster: &Cluster, account: &str, settings: &str) -> Result<(), Error> {
    let data = [
        (names::ACME_ACCOUNT_KEY, account),
        (names::ACME_SETTINGS_KEY, settings),
    ];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(names::ACME_SECRET.into()),
            namespace: Some(names::NAMESPACE.into()),
            labels: Some(labels::product()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(
            data.into_iter()
                .map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())))
                .collect::<BTreeMap<_, _>>(),
        ),
        ..Secret::default()
    };
    apply::apply(cluster, &Object::of(&secret), Conflicts::Force).await?;
    Ok(())
}
