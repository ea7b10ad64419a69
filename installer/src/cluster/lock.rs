//! One writer at a time: a Lease in the namespace of the installation.
//!
//! It is renewed while the work goes on and deleted at the end. A holder that
//! stopped renewing loses it to whoever has seen it unchanged for [`LIFETIME`],
//! whatever the clocks say; one that ran on this machine and has ended loses it at
//! once, so that an interrupted command can be repeated without waiting.

use std::{
    process,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Namespace},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
    core::Status,
};
use silica_api::{
    lock::{self, Held, LIFETIME, LOOK_EVERY, Look, Watch},
    names,
};

pub use silica_api::lock::LEASE;

use crate::cluster::{self, Cluster, process::Process, request};

const RENEW_EVERY: Duration = Duration::from_secs(15);

/// Why the work cannot be done now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else is at work.
    #[error("{holder} is changing this installation, last heard of {age} s ago")]
    Held { holder: String, age: i64 },
    /// Somebody took the Lease over, because it was not renewed in time.
    #[error("the lock was lost to another command")]
    Lost,
    /// Somebody changed the installation between the comparison and the lock.
    #[error("the installation was changed by another command meanwhile")]
    Changed,
    /// A request failed.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
}

/// Does the work while nobody else may. The work is stopped when the lock is lost.
pub async fn exclusive<T, E: From<Error>>(
    cluster: &Cluster,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(mut lock) = Lock::take(cluster).await? else {
        return work.await;
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        lost = lock.keep() => Err(E::from(lost)),
    };
    lock.release().await;
    outcome
}

struct Lock {
    api: Api<Lease>,
    namespaces: Api<Namespace>,
    lease: Lease,
}

impl Lock {
    /// `None` without a namespace, or in one that is being deleted: there is
    /// nothing to exclude.
    async fn take(cluster: &Cluster) -> Result<Option<Self>, Error> {
        let api: Api<Lease> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
        let mut watch = Watch::default();
        let mut lost_races = 0;
        loop {
            let wanted = lease(Timestamp::now());
            match api.create(&PostParams::default(), &wanted).await {
                Ok(lease) => return Ok(Some(Self::of(cluster, api, lease))),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(kube::Error::Api(status)) if status.code == 404 || is_terminating(&status) => {
                    return Ok(None);
                }
                Err(error) => return Err(request("create", title())(error).into()),
            }
            let Some(held) = api.get_opt(LEASE).await.map_err(request("read", title()))? else {
                continue;
            };
            match watch.look(&held, Instant::now(), Timestamp::now(), has_ended) {
                Look::Held(Held { holder, age }) => return Err(Error::Held { holder, age }),
                Look::Wait(rest) => {
                    tokio::time::sleep(rest.min(LOOK_EVERY)).await;
                    continue;
                }
                Look::Free => {}
            }
            // The resourceVersion makes this fail when another one is faster.
            let mut taken = wanted;
            taken.metadata.resource_version = held.resource_version();
            match api.replace(LEASE, &PostParams::default(), &taken).await {
                Ok(lease) => return Ok(Some(Self::of(cluster, api, lease))),
                Err(kube::Error::Api(status)) if status.is_conflict() || status.code == 404 => {
                    // A second round is needed only when the holder ends right now.
                    lost_races += 1;
                    if lost_races == 2 {
                        return Err(Error::Lost);
                    }
                }
                Err(error) => return Err(request("take over", title())(error).into()),
            }
        }
    }

    fn of(cluster: &Cluster, api: Api<Lease>, lease: Lease) -> Self {
        let namespaces = Api::all(cluster.client.clone());
        Self {
            api,
            namespaces,
            lease,
        }
    }

    /// Whether the namespace goes, and the Lease with it.
    async fn namespace_goes(&self) -> bool {
        match self.namespaces.get_metadata_opt(names::NAMESPACE).await {
            Ok(Some(namespace)) => namespace.metadata.deletion_timestamp.is_some(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Renews forever; returns only when the lock is lost.
    async fn keep(&mut self) -> Error {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let mut lease = self.lease.clone();
            if let Some(spec) = &mut lease.spec {
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            match self.api.replace(LEASE, &PostParams::default(), &lease).await {
                Ok(lease) => {
                    self.lease = lease;
                    renewed = tokio::time::Instant::now();
                }
                // We are deleting the namespace ourselves.
                Err(kube::Error::Api(status)) if status.code == 404 && self.namespace_goes().await => {
                    return std::future::pending().await;
                }
                Err(kube::Error::Api(status)) if status.is_conflict() || status.code == 404 => {
                    return Error::Lost;
                }
                // The API server may come back in time.
                Err(_) if renewed.elapsed() + RENEW_EVERY < LIFETIME => {}
                Err(_) => return Error::Lost,
            }
        }
    }

    /// Gives the lock back, unless somebody else has it by now.
    async fn release(self) {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: self.lease.resource_version(),
                uid: self.lease.uid(),
            }),
            ..DeleteParams::default()
        };
        // What cannot be deleted expires.
        let _ = self.api.delete(LEASE, &params).await;
    }
}

fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

fn title() -> String {
    format!("Lease {}/{LEASE}", names::NAMESPACE)
}

fn lease(now: Timestamp) -> Lease {
    let process = Process::current().map(|process| process.render());
    lock::lease(names::NAMESPACE, &holder(), process, now)
}

/// `user@host-pid`, for people.
fn holder() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "unknown".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_else(|_| "unknown".into());
    format!("{user}@{}-{}", host.trim(), process::id())
}

fn has_ended(process: &str) -> bool {
    Process::parse(process).is_some_and(|process| process.has_ended())
}
