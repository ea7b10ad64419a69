//! Credentials as `docker login` and `podman login` keep them.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{Address, Error};

/// User name that says: the secret is an identity token (docker-credential-helpers).
const TOKEN_USER: &str = "<token>";
/// What a helper prints when it knows nothing of a registry.
const NOT_FOUND: &str = "credentials not found in native keychain";

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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Runs `HELPER get` with the registry on its input.
async fn ask_helper(helper: &str, registry: &str) -> Result<Option<Credentials>, Error> {
    let failed = |why: String| Error::Helper {
        helper: helper.to_owned(),
        registry: registry.to_owned(),
        why,
    };
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read has said what it thinks in its exit code.
        let _ = input.write_all(registry.as_bytes()).await;
    }
    let output = child
        .wait_with_output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return if said.contains(NOT_FOUND) {
            Ok(None)
        } else {
            Err(failed(format!("{}: {said}", output.status)))
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not what the protocol has".to_owned()))?;
    Ok(Some(if answer.username == TOKEN_USER {
        Credentials::Identity(answer.secret)
    } else {
        Credentials::Basic {
            user: answer.username,
            password: answer.secret,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic {
            user: user.into(),
            password: password.into(),
        }
    }

    async fn read_text(text: &str, registry: &str) -> Result<Credentials, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(&address(registry), Some(file.path())).await
    }

    #[tokio::test]
    async fn every_form_of_an_entry_is_understood() {
        let text = r#"{"auths": {
            "r.example.com": {"auth": "dXNlcjpwYTpzcw=="},
            "https://old.example.com/v1/": {"username": "u", "password": "p"},
            "r.example.com:5000": {"identitytoken": "t"},
            "r.example.com/team": {"auth": "dGVhbTpw"}
        }}"#;
        let read = async |registry| read_text(text, registry).await.unwrap();
        assert_eq!(read("r.example.com/a").await, basic("user", "pa:ss"));
        assert_eq!(read("old.example.com/a").await, basic("u", "p"));
        assert_eq!(
            read("r.example.com:5000/a").await,
            Credentials::Identity("t".into())
        );
        assert_eq!(read("r.example.com/team/a").await, basic("team", "p"));
        assert_eq!(read("r.example.com/teams").await, basic("user", "pa:ss"));
        assert_eq!(read("other.example.com/a").await, Credentials::Anonymous);
    }

    #[tokio::test]
    async fn docker_hub_has_one_entry_under_three_names() {
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}}}"#;
        for registry in [
            "docker.io/team",
            "index.docker.io/team",
            "registry-1.docker.io/team",
        ] {
            assert_eq!(read_text(text, registry).await.unwrap(), basic("u", "p"));
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_without_repeating_it() {
        for text in [
            r#"{"auths": {"r.example.com": {"auth": "se cret"}}}"#,
            r#"{"auths": {"r.example.com": "secret"}}"#,
        ] {
            let error = read_text(text, "r.example.com/a").await.unwrap_err();
            assert!(matches!(error, Error::Config { .. }));
            assert!(!format!("{error} {error:?}").contains("cret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_missing_helper_is_named() {
        let text = r#"{"credHelpers": {"r.example.com": "silica-test-none"}}"#;
        let error = read_text(text, "r.example.com/a").await.unwrap_err();
        assert!(
            error.to_string().contains("docker-credential-silica-test-none"),
            "{error}"
        );
        // Helpers of other registries are not asked.
        assert_eq!(
            read_text(text, "s.example.com/a").await.unwrap(),
            Credentials::Anonymous
        );
    }

    #[tokio::test]
    async fn a_helper_is_told_the_registry_and_believed() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("docker-credential-test");
        // Knows one registry; of others it says what the real ones say.
        let script = format!(
            "#!/bin/sh\ncase \"$1 $(cat)\" in\n'get r.example.com') echo \
             '{{\"ServerURL\":\"x\",\"Username\":\"<token>\",\"Secret\":\"t\"}}';;\n\
             *) echo '{NOT_FOUND}'; exit 1;;\nesac\n"
        );
        std::fs::write(&helper, script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&helper, executable).unwrap();
        let ask = async |registry| ask_helper(&helper.to_string_lossy(), registry).await.unwrap();
        assert_eq!(
            ask("r.example.com").await,
            Some(Credentials::Identity("t".into()))
        );
        assert_eq!(ask("s.example.com").await, None);
    }

    #[test]
    fn the_file_is_found_where_docker_and_podman_look() {
        let find = |variables: &[(&str, &str)], there: &str| {
            find_file(
                |name| {
                    let found = variables.iter().find(|(key, _)| *key == name);
                    found.map(|(_, value)| (*value).to_owned())
                },
                |path| path == Path::new(there),
            )
        };
        let home = ("HOME", "/h");
        assert_eq!(
            find(&[home], "/h/.docker/config.json").unwrap(),
            Path::new("/h/.docker/config.json")
        );
        assert_eq!(
            find(&[home, ("DOCKER_CONFIG", "/d")], "/d/config.json").unwrap(),
            Path::new("/d/config.json")
        );
        let run = ("XDG_RUNTIME_DIR", "/r");
        assert_eq!(
            find(&[home, run], "/r/containers/auth.json").unwrap(),
            Path::new("/r/containers/auth.json")
        );
        assert_eq!(find(&[home], "/none"), None);
        // A file that was named and is missing has to be told.
        assert_eq!(
            find(&[("REGISTRY_AUTH_FILE", "/f")], "/none").unwrap(),
            Path::new("/f")
        );
    }

    #[test]
    fn a_pull_secret_holds_the_same_user_and_secrets_are_not_shown() {
        let credentials = basic("u", "hush");
        let text = credentials.pull_secret(&address("r.example.com/a")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["auths"]["r.example.com"]["auth"], "dTpodXNo");
        assert!(!format!("{credentials:?}").contains("hush"));
        let identity = Credentials::Identity("hush".into());
        assert!(identity.pull_secret(&address("r.example.com/a")).is_err());
    }
}
