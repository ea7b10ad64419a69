//! A registry that leaves the login to a token server.

use silica_oci::{Compression, Entry, Image, Layer};
use silica_registry::{Credentials, Error};

use crate::{
    jane,
    server::{Server, image},
    token_server::{Answer, TokenServer},
};

/// What a push to the repository of [`image`] asks for.
const SCOPE: &str = "repository:team/silica/program:pull,push";

fn start(next: &[Answer]) -> Option<(Server, TokenServer)> {
    let tokens = TokenServer::start(next);
    let server = Server::start(|_| String::new(), |path| tokens.configuration(path))?;
    Some((server, tokens))
}

fn asked_by(user: &str) -> (String, String) {
    (user.to_owned(), SCOPE.to_owned())
}

/// The error of a push that must fail, which names registry and token server and has no secret.
async fn refused(server: &Server, tokens: &TokenServer, credentials: Credentials) -> Error {
    let images = [image("amd64", "one")];
    let error = server
        .registry(credentials)
        .push("program", "1", &images)
        .await
        .unwrap_err();
    let text = error.to_string();
    for part in [format!("localhost:{}", server.port), tokens.name(), SCOPE.into()] {
        assert!(text.contains(&part), "{part:?} is not in {text}");
    }
    assert!(!text.contains("hush") && !text.contains("eyJ"), "{text}");
    error
}

#[tokio::test]
async fn the_password_of_docker_login_becomes_one_token_for_a_push() {
    let Some((server, tokens)) = start(&[]) else {
        return;
    };
    let found = server.docker_login().await;
    let images = [image("amd64", "one"), image("arm64", "two")];
    let first = server
        .registry(found)
        .push("program", "1", &images)
        .await
        .unwrap();
    assert_eq!((first.sent, first.present), (7, 0));
    assert_eq!(tokens.asked(), [asked_by("jane")]);

    // Whoever may pull sees that all is there, and needs no right to push.
    let anonymous = server.registry(Credentials::Anonymous);
    let second = anonymous.push("program", "1", &images).await.unwrap();
    assert_eq!((second.digest, second.sent), (first.digest, 0));
    assert_eq!(tokens.asked(), [asked_by("")]);
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let Some((server, tokens)) = start(&[]) else {
        return;
    };
    let identity = |token: &str| server.registry(Credentials::Identity(token.to_owned()));
    let images = [image("amd64", "one")];
    let pushed = identity("refresh-me")
        .push("program", "1", &images)
        .await
        .unwrap();
    assert_eq!(pushed.sent, 3);
    assert_eq!(tokens.asked(), [asked_by("jane")]);
    let error = refused(&server, &tokens, Credentials::Identity("revoked".into())).await;
    assert!(error.to_string().contains("identity token"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let Some((server, tokens)) = start(&[]) else {
        return;
    };
    let error = refused(&server, &tokens, jane("wrong-one")).await;
    assert!(
        matches!(error, Error::TokenRefused { status: 401, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("\"jane\"") && !error.to_string().contains("wrong-one"));
    let login = format!("docker login localhost:{}", server.port);
    assert!(error.hint().unwrap().starts_with(&login), "{error}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_not_called_a_wrong_password() {
    let Some((server, tokens)) = start(&[]) else {
        return;
    };
    let reader = Credentials::Basic {
        user: "reader".into(),
        password: "hush".into(),
    };
    let error = refused(&server, &tokens, reader).await;
    let expected = matches!(
        error,
        Error::NoRight {
            is_anonymous: false,
            ..
        }
    );
    assert!(expected && !error.to_string().contains("password"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("right to push to team/silica/program"), "{hint}");

    let error = refused(&server, &tokens, Credentials::Anonymous).await;
    assert!(
        matches!(
            error,
            Error::NoRight {
                is_anonymous: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.hint().unwrap().starts_with("docker login"), "{error}");
}

#[tokio::test]
async fn a_token_that_ends_half_way_is_renewed() {
    let Some((server, tokens)) = start(&[Answer::Short]) else {
        return;
    };
    // More requests than a quarter of a second has room for.
    let layer = |number: u32| {
        let entry = Entry::file("/program", 0o755, number.to_string().into_bytes());
        Layer::from_entries(vec![entry], Compression::Gzip).unwrap()
    };
    let image = Image {
        layers: (0..150).map(layer).collect(),
        ..image("amd64", "one")
    };
    let registry = server.registry(jane("hush"));
    let pushed = registry.push("program", "1", &[image]).await.unwrap();
    assert_eq!((pushed.sent, pushed.present), (152, 0));
    assert_eq!(tokens.asked(), [asked_by("jane"), asked_by("jane")]);
}

#[tokio::test]
async fn an_identity_token_outlives_its_access_token() {
    let Some((server, tokens)) = start(&[Answer::Expired]) else {
        return;
    };
    let registry = server.registry(Credentials::Identity("refresh-me".into()));
    let pushed = registry
        .push("program", "1", &[image("amd64", "one")])
        .await
        .unwrap();
    assert_eq!(pushed.sent, 3);
    assert_eq!(tokens.asked().len(), 2);
}

#[tokio::test]
async fn trouble_of_the_token_server_is_not_called_a_wrong_password() {
    let Some((server, tokens)) = start(&[Answer::Status(503), Answer::Expired, Answer::Status(429)]) else {
        return;
    };
    // At once, and at a renewal.
    for status in ["503", "429"] {
        let error = refused(&server, &tokens, jane("hush")).await;
        assert!(matches!(error, Error::TokenServer { .. }), "{error}");
        assert!(error.to_string().contains(status), "{error}");
        assert!(error.hint().unwrap().contains(&tokens.name()), "{error}");
    }
}
