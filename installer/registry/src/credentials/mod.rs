//! Credentials as `docker login` and `podman login` keep them.

mod helpers;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

use self::helpers::ask_helper;
use crate::{Address, Error};

/// Who pushes.
#[derive(Clone, Eq, PartialEq)]
pub enum Credentials {
    /// Nobody in particular.
    Anonymous,
    /// A user with a password or an access token.
    Basic { user: String, password: String },
    /// A token that is exchanged for an access token.
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Credentials {
    /// For messages; tells no secret.
    pub fn describe(&self) -> String {
        match self {
            Self::Anonymous => "there are no credentials for it".to_owned(),
            Self::Basic { user, .. } => format!("user {user:?} or the password is wrong"),
            Self::Identity(_) => "the identity token is not accepted".to_owned(),
        }
    }

    /// Content of a Secret of type `kubernetes.io/dockerconfigjson`, key `.dockerconfigjson`.
    pub fn pull_secret(&self, address: &Address) -> Result<String, Error> {
        let refused = |why| Error::NoPullSecret {
            registry: address.host().to_owned(),
            why,
        };
        match self {
            Self::Anonymous => Err(refused("are empty")),
            Self::Identity(_) => Err(refused("are an identity token, which kubelets do not use")),
            Self::Basic { user, password } => {
                let auth = STANDARD.encode(format!("{user}:{password}"));
                let entry = json!({"username": user, "password": password, "auth": auth});
                Ok(json!({"auths": {address.host(): entry}}).to_string())
            }
        }
    }
}

/// The part of the configuration file that is about credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// The file that Docker or Podman would use: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, then the
/// usual places. `get` reads a variable, `exists` tells whether a file is there.
pub fn find_file(get: impl Fn(&str) -> Option<String>, exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let get = |name: &str| get(name).filter(|value| !value.is_empty());
    if let Some(path) = get("REGISTRY_AUTH_FILE") {
        return Some(path.into());
    }
    let docker = get("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| get("HOME").map(|home| Path::new(&home).join(".docker")))
        .map(|folder| folder.join("config.json"));
    let podman = get("XDG_RUNTIME_DIR").map(|run| Path::new(&run).join("containers/auth.json"));
    [docker, podman].into_iter().flatten().find(|path| exists(path))
}

/// Reads the credentials for a registry from the file, asking a credential helper if the file
/// says so. Without a file everybody is anonymous.
pub async fn read(address: &Address, file: Option<&Path>) -> Result<Credentials, Error> {
    let Some(path) = file else {
        return Ok(Credentials::Anonymous);
    };
    let text = std::fs::read_to_string(path).map_err(|source| Error::ReadFile {
        what: "the credentials",
        path: path.to_owned(),
        source,
    })?;
    let refused = |why: String| Error::Config {
        path: path.to_owned(),
        why,
    };
    // The parser's own words could repeat a secret; the place is enough.
    let config: Config = serde_json::from_str(&text)
        .map_err(|error| refused(format!("line {}, column {}", error.line(), error.column())))?;
    if let Some(name) = helper(&config, address)
        && let Some(found) = ask_helper(&format!("docker-credential-{name}"), &server(address)).await?
    {
        return Ok(found);
    }
    match choose(&config.auths, address) {
        None => Ok(Credentials::Anonymous),
        Some(entry) => from_entry(entry).map_err(|why| refused(why.to_owned())),
    }
}

/// The helper that is in charge of this registry.
fn helper(config: &Config, address: &Address) -> Option<String> {
    let own = config
        .cred_helpers
        .iter()
        .find(|(key, _)| normal(key) == hub(address.host()));
    own.map(|(_, name)| name)
        .or(config.creds_store.as_ref())
        .filter(|name| !name.is_empty())
        .cloned()
}

/// How Docker names a registry to a helper.
fn server(address: &Address) -> String {
    match hub(address.host()) {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        host => host.to_owned(),
    }
}

/// The entry for this registry; of several paths on it, the longest that leads to ours.
fn choose<'a>(auths: &'a BTreeMap<String, Entry>, address: &Address) -> Option<&'a Entry> {
    let ours = format!(
        "{}/",
        address
            .to_string()
            .replacen(address.host(), hub(address.host()), 1)
    );
    auths
        .iter()
        .map(|(key, entry)| (normal(key), entry))
        .filter(|(key, _)| ours.starts_with(&format!("{key}/")))
        .max_by_key(|(key, _)| key.len())
        .map(|(_, entry)| entry)
}

/// A key without scheme and API version; Docker Hub has three names.
fn normal(key: &str) -> String {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or(key.strip_suffix("/v2")).unwrap_or(key);
    let (host, path) = key.split_at(key.find('/').unwrap_or(key.len()));
    format!("{}{path}", hub(host))
}

fn hub(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

fn from_entry(entry: &Entry) -> Result<Credentials, &'static str> {
    if !entry.identitytoken.is_empty() {
        return Ok(Credentials::Identity(entry.identitytoken.clone()));
    }
    if entry.auth.is_empty() {
        return Ok(match entry.username.as_str() {
            "" => Credentials::Anonymous,
            user => Credentials::Basic {
                user: user.to_owned(),
                password: entry.password.clone(),
            },
        });
    }
    let decoded = STANDARD
        .decode(entry.auth.trim())
        .map_err(|_| "an `auth` is not base64")?;
    let text = String::from_utf8(decoded).map_err(|_| "an `auth` is not text")?;
    // Docker pads with zero bytes in some versions.
    let (user, password) = text
        .trim_end_matches('\0')
        .split_once(':')
        .ok_or("an `auth` is not USER:PASSWORD")?;
    Ok(Credentials::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests;
