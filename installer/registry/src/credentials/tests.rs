//! Entries of every form, helpers, and the places where the file is found.

use super::{helpers::NOT_FOUND, *};

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
