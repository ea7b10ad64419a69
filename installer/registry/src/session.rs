//! Requests to one repository, with a login that lasts as long as they do.

use oci_client::{
    Reference,
    client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};

use crate::{
    Credentials, Error, Registry,
    error::{Attempt, status},
    registry::{CONNECT, SILENCE},
    token::{self, Login},
};

/// A repository, logged in to.
pub(crate) struct Session<'a> {
    registry: &'a Registry,
    repository: String,
    /// What the credentials are called in messages.
    user: String,
    login: Login,
    client: Client,
    auth: RegistryAuth,
}

impl<'a> Session<'a> {
    /// Logs in.
    pub(crate) async fn open(registry: &'a Registry, repository: String) -> Result<Self, Error> {
        let user = registry.credentials.describe();
        let attempt = Attempt {
            registry: registry.address.host(),
            repository: &repository,
            action: "log in for",
            user: &user,
        };
        // Docker Hub is spoken to by another name than it is called by.
        let any = Reference::with_tag(attempt.registry.to_owned(), repository.clone(), "any".to_owned());
        let base = format!("{}://{}", registry.scheme(), any.resolve_registry());
        let login = token::ask(&registry.http, &base, &attempt).await?;
        let auth = authorize(registry, &login, &attempt).await?;
        let client = client(registry, &auth, &any).await?;
        Ok(Self {
            registry,
            repository,
            user,
            login,
            client,
            auth,
        })
    }

    /// A name in this repository.
    pub(crate) fn reference(&self, tag: &str) -> Reference {
        let host = self.registry.address.host().to_owned();
        Reference::with_tag(host, self.repository.clone(), tag.to_owned())
    }

    /// Does one request. A token that is not accepted (any more) is replaced once: how long they
    /// last, only the registry's clock knows.
    pub(crate) async fn run<T>(
        &mut self,
        action: &'static str,
        request: impl AsyncFn(&Client, &RegistryAuth) -> Result<T, OciDistributionError>,
    ) -> Result<T, Error> {
        let first = request(&self.client, &self.auth).await;
        let Login::Token(challenge) = &self.login else {
            return first.map_err(|error| self.attempt(action).failed(&error));
        };
        if !matches!(&first, Err(error) if status(error) == Some(401)) {
            return first.map_err(|error| self.attempt(action).failed(&error));
        }
        let auth = authorize(self.registry, &self.login, &self.attempt("renew the login for")).await?;
        let client = client(self.registry, &auth, &self.reference("any")).await?;
        let second = request(&client, &auth).await;
        let second = second.map_err(|error| match status(&error) {
            Some(401) => Error::NoRight {
                registry: self.registry.address.host().to_owned(),
                server: challenge.server().to_owned(),
                scope: token::scope(&self.repository),
                action,
                repository: self.repository.clone(),
                is_anonymous: self.registry.credentials == Credentials::Anonymous,
            },
            _ => self.attempt(action).failed(&error),
        });
        (self.client, self.auth) = (client, auth);
        second
    }

    fn attempt(&self, action: &'static str) -> Attempt<'_> {
        Attempt {
            registry: self.registry.address.host(),
            repository: &self.repository,
            action,
            user: &self.user,
        }
    }
}

async fn authorize(registry: &Registry, login: &Login, attempt: &Attempt<'_>) -> Result<RegistryAuth, Error> {
    if let Login::Token(challenge) = login {
        let token = challenge
            .token(&registry.http, &registry.credentials, attempt)
            .await?;
        return Ok(RegistryAuth::Bearer(token));
    }
    Ok(match &registry.credentials {
        Credentials::Anonymous => RegistryAuth::Anonymous,
        Credentials::Basic { user, password } => RegistryAuth::Basic(user.clone(), password.clone()),
        Credentials::Identity(_) => {
            return Err(attempt
                .protocol("it asks for no bearer token, but the credentials are an identity token".into()));
        }
    })
}

/// A client with this login; a client keeps its first one forever.
async fn client(registry: &Registry, auth: &RegistryAuth, target: &Reference) -> Result<Client, Error> {
    let config = ClientConfig {
        protocol: if registry.plain_http {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        },
        // One request a blob; they are a few megabytes.
        use_monolithic_push: true,
        extra_root_certificates: registry
            .ca
            .iter()
            .map(|data| Certificate {
                encoding: CertificateEncoding::Pem,
                data: data.clone(),
            })
            .collect(),
        connect_timeout: Some(CONNECT),
        read_timeout: Some(SILENCE),
        user_agent: "silica",
        ..ClientConfig::default()
    };
    let client = Client::try_from(config).map_err(|error| Error::Unreachable {
        registry: registry.address.host().to_owned(),
        why: error.to_string(),
    })?;
    client.store_auth_if_needed(target.resolve_registry(), auth).await;
    Ok(client)
}
