//! The connection to the Kubernetes API, and what can go wrong with it.

use std::{error::Error as _, path::PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::DynamicObject,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
    core::{ApiResource, Status},
};

pub mod apply;
pub(crate) mod diff;
pub mod inventory;
pub mod lock;
pub mod process;
pub(crate) mod yaml;

/// How many requests are under way at a time.
pub(crate) const CONCURRENCY: usize = 16;

/// Why the API did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable kubeconfig.
    #[error("failed to read the kubeconfig{}: {why}", path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default())]
    Kubeconfig { path: Option<PathBuf>, why: String },
    /// No answer from the server.
    #[error("failed to reach the Kubernetes API at {server}: {why}")]
    Unreachable { server: String, why: String },
    /// The server refused for lack of rights.
    #[error("failed to {action} {object}: {why}")]
    Forbidden {
        action: &'static str,
        object: String,
        why: String,
    },
    /// The rights are there, and the server refuses all the same.
    #[error("failed to {action} {object}: {why}")]
    Refused {
        action: &'static str,
        object: String,
        why: String,
        refusal: Refusal,
    },
    /// Another field manager owns a field with another value.
    #[error("failed to {action} {object}: {why}")]
    Conflict {
        action: &'static str,
        object: String,
        why: String,
    },
    /// Any other answer.
    #[error("failed to {action} {object}: {why}")]
    Request {
        action: &'static str,
        object: String,
        why: String,
    },
}

/// What refuses a request that the user has the right to make. The server answers 403
/// as it does for a lack of rights.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The namespace is being deleted.
    Terminating,
    /// A ResourceQuota of the namespace.
    Quota,
    /// An admission webhook, policy or plugin.
    Admission,
}

impl Refusal {
    /// `None` for a lack of rights.
    pub(crate) fn of(status: &Status) -> Option<Self> {
        let text = status.message.as_str();
        // So do all authorizers say it, and the guard against escalation.
        let lacks_rights = status.code == 401
            || text.contains("\" cannot ")
            || text.contains("attempting to grant RBAC permissions");
        if lacks_rights {
            return None;
        }
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        let is_terminating = causes.any(|cause| cause.reason == "NamespaceTerminating")
            || text.contains("because it is being terminated");
        if is_terminating {
            Some(Self::Terminating)
        } else if text.contains("exceeded quota") {
            Some(Self::Quota)
        } else if text.contains("denied") || text.contains("is forbidden: ") {
            Some(Self::Admission)
        } else {
            None
        }
    }
}

impl Error {
    /// Whether the server answered, and said no to this one request.
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Kubeconfig { .. } | Self::Unreachable { .. })
    }

    /// The reason alone, without what was tried.
    pub fn why(&self) -> &str {
        match self {
            Self::Kubeconfig { why, .. }
            | Self::Unreachable { why, .. }
            | Self::Forbidden { why, .. }
            | Self::Refused { why, .. }
            | Self::Conflict { why, .. }
            | Self::Request { why, .. } => why,
        }
    }

    /// Names the server, where only the object of the request is known.
    #[must_use]
    pub fn at(self, cluster: &Cluster) -> Self {
        match self {
            Self::Unreachable { why, .. } => Self::Unreachable {
                server: cluster.server.clone(),
                why,
            },
            other => other,
        }
    }
}

/// The innermost sentence of an error, which is the one that tells why.
pub fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Sorts a client error by what the user can do about it.
pub fn request(action: &'static str, object: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let object = object.into();
    move |error| match error {
        kube::Error::Api(status) if status.code == 403 || status.code == 401 => match Refusal::of(&status) {
            None => Error::Forbidden {
                action,
                object,
                why: status.message,
            },
            Some(refusal) => Error::Refused {
                action,
                object,
                why: status.message,
                refusal,
            },
        },
        kube::Error::Api(status) if status.is_conflict() => Error::Conflict {
            action,
            object,
            why: status.message,
        },
        kube::Error::Api(status) => Error::Request {
            action,
            object,
            why: status.message,
        },
        kube::Error::Service(error) => Error::Unreachable {
            server: object,
            why: reason(error.as_ref()),
        },
        kube::Error::HyperError(error) => Error::Unreachable {
            server: object,
            why: reason(&error),
        },
        other => Error::Request {
            action,
            object,
            why: reason(&other),
        },
    }
}

/// What a read found. A kind that the server does not know answers 404 without
/// the usual reason, and has no objects either.
pub fn found<T>(read: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match read {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// A connection to one cluster.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// Address of the API server, for messages.
    pub server: String,
}

/// Somebody whom the kubeconfig's user may impersonate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Name of the user.
    pub user: String,
    /// Groups that the user is taken to be in.
    pub groups: Vec<String>,
}

impl Identity {
    fn put_on(self, config: &mut Config) {
        config.auth_info.impersonate = Some(self.user);
        config.auth_info.impersonate_groups = Some(self.groups).filter(|groups| !groups.is_empty());
    }
}

impl Cluster {
    /// Reads the kubeconfig and prepares a client; nothing is sent yet.
    pub async fn read(path: Option<PathBuf>, context: Option<String>) -> Result<Self, Error> {
        Self::read_as(path, context, None).await
    }

    /// The same for requests in somebody else's name.
    pub async fn read_as(
        path: Option<PathBuf>,
        context: Option<String>,
        identity: Option<Identity>,
    ) -> Result<Self, Error> {
        let options = KubeConfigOptions {
            context,
            ..KubeConfigOptions::default()
        };
        let failed = |why: String| Error::Kubeconfig {
            path: path.clone(),
            why,
        };
        let mut config = match &path {
            Some(path) => {
                let kubeconfig =
                    Kubeconfig::read_from(path).map_err(|error| failed(kubeconfig_reason(&error)))?;
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|error| failed(kubeconfig_reason(&error)))?
            }
            None if options.context.is_some() => Config::from_kubeconfig(&options)
                .await
                .map_err(|error| failed(kubeconfig_reason(&error)))?,
            None => Config::infer()
                .await
                .map_err(|error| failed(inferred_reason(&error)))?,
        };
        if let Some(identity) = identity {
            identity.put_on(&mut config);
        }
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|error| failed(client_reason(&error)))?;
        Ok(Self { client, server })
    }

    /// The objects of a kind, in a namespace or cluster-wide.
    pub fn objects(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }
}

/// What is wrong with the kubeconfig, without a word of it: it holds tokens and keys.
fn kubeconfig_reason(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => yaml::place(error),
        KubeconfigError::ParseCertificates(_) => "a certificate in it is not PEM".to_owned(),
        error => match error.source() {
            Some(source) => reason(source),
            None => error.to_string(),
        },
    }
}

/// The same where no file was named.
fn inferred_reason(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source().and_then(|source| source.downcast_ref()) {
        Some(kubeconfig) => kubeconfig_reason(kubeconfig),
        None => reason(error),
    }
}

/// Why there is no client, without the lines of a key or certificate that cannot be read.
fn client_reason(error: &kube::Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.is::<rustls_pki_types::pem::Error>() {
            return "the client certificate or its key is not PEM, or is damaged".to_owned();
        }
        cause = one.source();
    }
    reason(error)
}

/// Whether a pod serves, and is not about to go.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status::failure("why", reason).with_code(code).boxed())
    }

    #[test]
    fn somebody_else_is_put_on_for_every_request() {
        let mut config = Config::new("https://127.0.0.1:1".parse().unwrap());
        let identity = |groups: &[&str]| Identity {
            user: "jane".into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        identity(&["dev", "ops"]).put_on(&mut config);
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("jane"));
        assert_eq!(
            config.auth_info.impersonate_groups,
            Some(vec!["dev".to_owned(), "ops".to_owned()])
        );
        identity(&[]).put_on(&mut config);
        assert_eq!(config.auth_info.impersonate_groups, None);
    }

    #[test]
    fn an_unknown_kind_has_no_objects() {
        assert!(matches!(found(Ok(1)), Ok(Some(1))));
        assert!(matches!(found::<()>(Err(answer(404, ""))), Ok(None)));
        assert!(matches!(found::<()>(Err(answer(404, "NotFound"))), Ok(None)));
        assert!(found::<()>(Err(answer(403, "Forbidden"))).is_err());
    }

    #[test]
    fn not_every_refusal_is_a_lack_of_rights() {
        let refusal = |text: &str| Refusal::of(&Status::failure(text, "Forbidden").with_code(403));
        for text in [
            r#"deployments.apps is forbidden: User "jane" cannot create resource "deployments" in API group "apps""#,
            r#"clusterroles "a" is forbidden: user "jane" (groups=["b"]) is attempting to grant RBAC permissions not currently held"#,
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
        for (text, expected) in [
            (
                r#"configmaps "a" is forbidden: unable to create new content in namespace b because it is being terminated"#,
                Refusal::Terminating,
            ),
            (
                r#"pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"#,
                Refusal::Quota,
            ),
            (
                r#"admission webhook "guard.example" denied the request: not on Fridays"#,
                Refusal::Admission,
            ),
            (
                r#"pods "a" is forbidden: violates PodSecurity "restricted:latest": host namespaces"#,
                Refusal::Admission,
            ),
        ] {
            assert_eq!(refusal(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn answers_are_sorted_by_what_can_be_done() {
        let sorted = |code, reason| request("read", "Pod a")(answer(code, reason));
        let quota = Status::failure("exceeded quota: small", "Forbidden").with_code(403);
        assert!(matches!(
            request("read", "Pod a")(kube::Error::Api(quota.boxed())),
            Error::Refused { .. }
        ));
        assert!(matches!(sorted(403, "Forbidden"), Error::Forbidden { .. }));
        assert!(matches!(sorted(401, "Unauthorized"), Error::Forbidden { .. }));
        assert!(matches!(sorted(409, "Conflict"), Error::Conflict { .. }));
        assert_eq!(
            sorted(500, "InternalError").to_string(),
            "failed to read Pod a: why"
        );
    }
}
