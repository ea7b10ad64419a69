//! The Lease that keeps the controller and `silica` from changing the CA at the
//! same time. What is done under it is over long before it runs out, so it is
//! never renewed.

use std::time::{Duration, Instant};

use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
};
use silica_api::{
    lock::{self, Held, LEASE, LIFETIME, LOOK_EVERY, Look, Watch},
    names,
};
use tokio::time::{sleep, timeout};

use super::apply::{Error, REQUEST};

/// The longest time that work under the Lease may take.
const WORK: Duration = Duration::from_secs(LIFETIME.as_secs() / 2);

/// Does the work while nobody else changes the installation; an error that
/// names the holder when somebody does.
pub(super) async fn exclusive<T>(
    client: &Client,
    namespace: &str,
    identity: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let lease = take(&api, namespace, identity).await?;
    let done = timeout(WORK, work).await;
    let release = DeleteParams {
        preconditions: Some(Preconditions {
            resource_version: lease.resource_version(),
            uid: lease.uid(),
        }),
        ..DeleteParams::default()
    };
    // What cannot be deleted expires.
    let _ = timeout(REQUEST, api.delete(LEASE, &release)).await;
    done.unwrap_or(Err(Error::Timeout {
        object: "the end of the step",
    }))
}

async fn take(api: &Api<Lease>, namespace: &str, identity: &str) -> Result<Lease, Error> {
    // The identity of a pod is its name.
    let holder = format!("{}/{identity}", names::CONTROLLER);
    let wanted = || lock::lease(namespace, &holder, None, Timestamp::now());
    let parameters = PostParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PostParams::default()
    };
    let busy = || Error::Busy {
        holder: "somebody".to_owned(),
    };
    let is_taken = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.is_already_exists() || status.is_conflict());
    match within(api.create(&parameters, &wanted())).await? {
        Ok(lease) => return Ok(lease),
        Err(error) if is_taken(&error) => {}
        Err(error) => return Err(failed(error)),
    }
    let mut watch = Watch::default();
    let found = loop {
        let Some(found) = within(api.get_opt(LEASE)).await?.map_err(failed)? else {
            return Err(busy());
        };
        match watch.look(&found, Instant::now(), Timestamp::now(), |_| false) {
            Look::Held(Held { holder, .. }) => return Err(Error::Busy { holder }),
            Look::Wait(rest) => sleep(rest.min(LOOK_EVERY)).await,
            Look::Free => break found,
        }
    };
    // The resourceVersion makes this fail when another one is faster.
    let mut wanted = wanted();
    wanted.metadata.resource_version = found.resource_version();
    match within(api.replace(LEASE, &parameters, &wanted)).await? {
        Ok(lease) => Ok(lease),
        Err(error) if is_taken(&error) => Err(busy()),
        Err(error) => Err(failed(error)),
    }
}

async fn within<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Result<T, kube::Error>, Error> {
    timeout(REQUEST, request)
        .await
        .map_err(|_elapsed| Error::Timeout { object: LEASE })
}

fn failed(error: kube::Error) -> Error {
    Error::Write {
        object: LEASE,
        source: Box::new(error),
    }
}
