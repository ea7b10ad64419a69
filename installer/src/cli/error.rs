//! Every way in which a command can fail, with its exit code and what to do next.

use std::{io, path::PathBuf};

use silica_api::names;
use silica_certs::{authority, files, pem};

use crate::{
    cli::{exit::Exit, signal::Signal},
    cluster::{self, Refusal, apply::Objection, lock},
    commands::{
        certs::{self, password},
        uninstall::Left,
    },
    delivery::{self, bundle, images},
    exposure::https,
    pipeline::{verify, wait},
    preflight, secrets, settings,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are not usable.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The Kubernetes API did not do what was asked.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The binaries that this CLI carries.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// An image could not be built.
    #[error(transparent)]
    Images(#[from] images::Error),
    /// The executables cannot travel the chosen way.
    #[error(transparent)]
    Pack(#[from] delivery::pack::Error),
    /// They did not reach the nodes.
    #[error(transparent)]
    Send(#[from] delivery::send::Error),
    /// The registry or its credentials.
    #[error(transparent)]
    Registry(#[from] silica_registry::Error),
    /// A secret cannot be decided on or made.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// Another command is at work.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// Something did not become ready.
    #[error(transparent)]
    Wait(#[from] wait::Error),
    /// The proof failed.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// No answer over HTTPS.
    #[error(transparent)]
    Https(#[from] https::Error),
    /// Certificate files.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// Certificates to show or to take into service.
    #[error(transparent)]
    Certs(#[from] certs::error::Error),
    /// DNS could not be asked at all.
    #[error(transparent)]
    Dns(#[from] silica_dns::Error),
    /// An object cannot be shown.
    #[error(transparent)]
    Yaml(#[from] silica_manifests::YamlError),
    /// The kept values cannot be written as YAML.
    #[error("failed to write the values as YAML")]
    Values(#[source] serde_saphyr::SerializeError),
    /// There is no such command.
    #[error("there is no command {command:?}")]
    NoPage { command: String },
    /// A manual page could not be made.
    #[error("failed to make the manual page")]
    Page(#[source] io::Error),
    /// The user said no.
    #[error("nothing was changed: the answer was no")]
    Declined,
    /// There is nobody to ask.
    #[error("nothing was changed: there is no terminal to ask on")]
    CannotAsk,
    /// Some checks failed.
    #[error("{count} of the checks stop the installation; nothing was changed")]
    Preflight { count: usize, is_permission: bool },
    /// The server would not take some objects.
    #[error("nothing was changed: the server would refuse {}:\n  {}", count(objections.len(), "object"), lines(objections))]
    Refused { objections: Vec<Objection> },
    /// There is no installation.
    #[error("there is no installation in namespace {}", names::NAMESPACE)]
    NotInstalled,
    /// Users' sandboxes would be lost.
    #[error("{} in the cluster would lose their controller: {}", count(*number, "user object"), names.join(", "))]
    UserObjects { number: usize, names: Vec<String> },
    /// The new version did not come up; the former one serves again.
    #[error("the new version did not become ready, and the former one was put back: {cause}")]
    RolledBack { cause: Box<Error> },
    /// Neither version could be brought up.
    #[error("the new version did not become ready ({cause}), and the former one could not be put back")]
    NotRolledBack { cause: Box<Error>, source: Box<Error> },
    /// Something is left after a removal.
    #[error("failed to remove {}", left.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    LeftBehind { left: Vec<Left> },
    /// Certificates made now would not be valid everywhere.
    #[error("nothing was changed: {why}")]
    Clock { why: String },
    /// The new certificate does not pass.
    #[error("failed to verify the new certificate before using it")]
    NewCertificate(#[source] silica_certs::verify::Error),
    /// Nothing that serves can be seen, so a new certificate would be taken for served by nobody.
    #[error(
        "nothing was changed: nothing answers from here that could show whether the new certificate is served{}",
        tried(routes)
    )]
    Unseen { routes: Vec<String> },
    /// The new certificate is not served.
    #[error("the new certificate was not served by {route} within the time limit")]
    NotServed { route: String },
    /// The new certificate was taken out of service again.
    #[error("{cause}; the former certificate was put back")]
    TakenBack { cause: Box<Error> },
    /// The new certificate could not be taken out of service again.
    #[error("{cause}; {left}")]
    LeftInPlace {
        cause: Box<Error>,
        left: String,
        source: Option<Box<Error>>,
    },
    /// The served certificate is somebody else's.
    #[error("the served certificate was not issued by silica")]
    ForeignCertificate,
    /// A file could not be written.
    #[error("failed to write {}", path.display())]
    WriteFile { path: PathBuf, source: io::Error },
    /// A file could not be removed.
    #[error("failed to remove {}", path.display())]
    RemoveFile { path: PathBuf, source: io::Error },
    /// The result did not reach whoever wanted it.
    #[error("failed to write the result to standard output")]
    Output(#[source] io::Error),
    /// Standard input could not be read.
    #[error("failed to read the standard input")]
    ReadInput(#[source] io::Error),
    /// The asynchronous runtime did not start.
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    /// A result could not be put into JSON.
    #[error("failed to write the result as JSON")]
    Json(#[from] serde_json::Error),
    /// The time is up.
    #[error("the time limit was reached{}", during(phase.as_ref()))]
    TimedOut { phase: Option<String> },
    /// Ctrl-C, or SIGTERM.
    #[error("{signal}{}", during(phase.as_ref()))]
    Interrupted { signal: Signal, phase: Option<String> },
}

fn during(phase: Option<&String>) -> String {
    phase
        .map(|phase| format!(" in phase {phase:?}"))
        .unwrap_or_default()
}

fn lines(objections: &[Objection]) -> String {
    let lines: Vec<String> = objections.iter().map(Objection::to_string).collect();
    lines.join("\n  ")
}

fn tried(routes: &[String]) -> String {
    if routes.is_empty() {
        String::new()
    } else {
        format!(" (tried {})", routes.join(", "))
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

impl Error {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::Files(
                files::Error::Authority { .. }
                | files::Error::GivenAuthority { .. }
                | files::Error::HalfAuthority { .. },
            ) => Exit::Config,
            Self::Certs(error) => error.exit(),
            Self::Cluster(error)
            | Self::Wait(wait::Error::Cluster(error))
            | Self::Lock(lock::Error::Cluster(error)) => match error {
                cluster::Error::Kubeconfig { .. } => Exit::Config,
                cluster::Error::Unreachable { .. } => Exit::Unreachable,
                cluster::Error::Forbidden { .. } => Exit::Forbidden,
                cluster::Error::Refused { .. }
                | cluster::Error::Conflict { .. }
                | cluster::Error::Request { .. } => Exit::Failed,
            },
            Self::Wait(wait::Error::Timeout { .. }) | Self::TimedOut { .. } | Self::NotServed { .. } => {
                Exit::Timeout
            }
            Self::RolledBack { cause }
            | Self::NotRolledBack { cause, .. }
            | Self::TakenBack { cause }
            | Self::LeftInPlace { cause, .. } => cause.exit(),
            Self::Lock(_) => Exit::Busy,
            Self::Interrupted { signal, .. } => signal.exit(),
            Self::CannotAsk | Self::NoPage { .. } => Exit::Usage,
            Self::Preflight {
                is_permission: true, ..
            } => Exit::Forbidden,
            Self::Preflight { .. } | Self::Clock { .. } | Self::Unseen { .. } => Exit::Findings,
            _ => Exit::Failed,
        }
    }

    /// What to do next, with the command that does it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Settings(settings::Error::NoDomain) | Self::NotInstalled => "silica install --domain sandbox.example.com".to_owned(),
            Self::Settings(settings::Error::Name { what: "domain", .. }) => {
                "give the name without scheme, port and `*.`, for example --domain sandbox.example.com".to_owned()
            }
            Self::Settings(settings::Error::UnknownKey { .. } | settings::Error::Value { .. }) => {
                "silica config reference lists all parameters and their values".to_owned()
            }
            Self::Settings(_) => "silica config explain shows every value and where it comes from".to_owned(),
            Self::NoPage { .. } => "silica help".to_owned(),
            Self::Clock { .. } => preflight::CLOCK_HINT.to_owned(),
            Self::Certs(error) => error.hint()?,
            Self::Files(
                files::Error::Authority {
                    source: authority::Error::KeyPem(pem::Error::Encrypted),
                    ..
                }
                | files::Error::GivenAuthority {
                    source: authority::Error::KeyPem(pem::Error::Encrypted),
                    ..
                },
            ) => password::HINT.to_owned(),
            Self::Cluster(error)
            | Self::Wait(wait::Error::Cluster(error))
            | Self::Lock(lock::Error::Cluster(error)) => cluster_hint(error)?,
            Self::Lock(_) => "wait until it has ended, then run the same command again".to_owned(),
            Self::Bundle(bundle::Error::Empty) => {
                "build with SILICA_BUNDLE_DIR=DIR cargo build -p silica (cargo xtask build does all of it), \
                 or name images: --manager-image IMAGE --runtime-image IMAGE"
                    .to_owned()
            }
            Self::Send(delivery::send::Error::Registry(error)) | Self::Registry(error) => error.hint()?,
            Self::Send(delivery::send::Error::Start { program: "ctr", .. }) => {
                "install containerd's ctr, or bring the executables another way: --registry HOST/PREFIX or --images configmap"
                    .to_owned()
            }
            Self::Wait(wait::Error::Timeout { .. } | wait::Error::Never { .. }) => {
                format!("kubectl get pods,events -n {}; then run the same command again, it resumes", names::NAMESPACE)
            }
            Self::RolledBack { .. } => format!(
                "remove the cause and install again; to look at the new version's pods instead: --no-rollback, then kubectl describe pods -n {}",
                names::NAMESPACE
            ),
            Self::NotRolledBack { .. } => {
                "run silica install with the former settings, or the former silica; it resumes".to_owned()
            }
            Self::Refused { objections } if objections.iter().all(Objection::is_conflict) => CONFLICT_HINT.to_owned(),
            Self::Unseen { .. } => {
                "run it where the addresses of the installation answer (silica status tells them); to write it without \
                 that look: --no-verify"
                    .to_owned()
            }
            Self::TakenBack { .. } => {
                format!("silica doctor tells what is wrong with the ways in; kubectl get pods -n {}", names::NAMESPACE)
            }
            Self::LeftInPlace { .. } => {
                "silica certs inspect --cluster shows which one the cluster holds; run the same command again once it \
                 answers: it puts a certificate into service and waits until that is served"
                    .to_owned()
            }
            Self::Declined | Self::CannotAsk => "run again with --yes".to_owned(),
            Self::Verify(verify::Error::Certificate { hint, .. }) => hint.clone()?,
            Self::Verify(_) => format!("kubectl logs -n {} deployment/{}", names::NAMESPACE, names::MANAGER),
            Self::UserObjects { .. } => {
                "keep them (the definitions stay, nobody acts on them): --keep-sandboxes; remove them: --delete-sandboxes"
                    .to_owned()
            }
            Self::LeftBehind { .. } => {
                "remove what holds these, such as a finalizer of another product, or delete them by hand; while there is an \
                 inventory, the same command resumes"
                    .to_owned()
            }
            Self::TimedOut { .. } | Self::Interrupted { .. } => {
                "run the same command again: it resumes where it stopped".to_owned()
            }
            Self::ForeignCertificate => {
                "its issuer renews it; put the new one into service: silica certs import --cert FILE --key FILE"
                    .to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }
}

const CONFLICT_HINT: &str = "take these fields over with --force-conflicts";

fn cluster_hint(error: &cluster::Error) -> Option<String> {
    Some(match error {
        cluster::Error::Kubeconfig { .. } => {
            "name one with --kubeconfig FILE or the variable KUBECONFIG".to_owned()
        }
        cluster::Error::Unreachable { .. } => {
            "check the address and the network: kubectl cluster-info".to_owned()
        }
        cluster::Error::Forbidden { .. } => "use an administrator's kubeconfig: --kubeconfig FILE".to_owned(),
        cluster::Error::Refused { refusal, .. } => match refusal {
            Refusal::Terminating => preflight::TERMINATING_HINT.to_owned(),
            Refusal::Quota => format!(
                "raise the quota of the namespace, or ask for less: kubectl describe resourcequota -n {}",
                names::NAMESPACE
            ),
            Refusal::Admission => {
                "a policy of the cluster refuses this; its owner can exempt the object: \
                 kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies"
                    .to_owned()
            }
        },
        cluster::Error::Conflict { .. } => CONFLICT_HINT.to_owned(),
        cluster::Error::Request { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::apply::{Field, Why};

    #[test]
    fn exit_codes_tell_the_kinds_apart() {
        let cluster = |error| Error::Cluster(error).exit();
        let text = String::new;
        assert_eq!(
            cluster(cluster::Error::Unreachable {
                server: text(),
                why: text()
            }),
            Exit::Unreachable
        );
        assert_eq!(
            cluster(cluster::Error::Forbidden {
                action: "a",
                object: text(),
                why: text()
            }),
            Exit::Forbidden
        );
        assert_eq!(Error::Settings(settings::Error::NoDomain).exit(), Exit::Config);
        assert_eq!(Error::TimedOut { phase: None }.exit(), Exit::Timeout);
        let interrupted = |signal| Error::Interrupted { signal, phase: None }.exit();
        assert_eq!(interrupted(Signal::Interrupt), Exit::Interrupted);
        assert_eq!(interrupted(Signal::Terminate), Exit::Terminated);
        assert_eq!(
            Error::Preflight {
                count: 1,
                is_permission: true
            }
            .exit(),
            Exit::Forbidden
        );
    }

    #[test]
    fn every_refused_object_has_a_line() {
        let conflict = |object: &str| Objection {
            object: object.into(),
            why: Why::Fields(vec![Field {
                path: ".spec.replicas".into(),
                manager: "hpa".into(),
            }]),
        };
        let error = Error::Refused {
            objections: vec![conflict("A b"), conflict("C d")],
        };
        assert_eq!(
            error.to_string(),
            "nothing was changed: the server would refuse 2 objects:\n  A b: .spec.replicas was set by \"hpa\"\n  \
             C d: .spec.replicas was set by \"hpa\""
        );
        assert!(error.hint().unwrap().contains("--force-conflicts"));
    }

    #[test]
    fn an_interrupted_run_names_its_phase_and_how_to_go_on() {
        let error = Error::Interrupted {
            signal: Signal::Interrupt,
            phase: Some("Workloads".into()),
        };
        assert_eq!(error.to_string(), "interrupted in phase \"Workloads\"");
        assert!(error.hint().unwrap().contains("again"));
    }
}
