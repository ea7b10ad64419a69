//! Takes a certificate out of service again: when it is not served, when the write
//! ended without an answer, and when the command is given up in the middle.

use std::{mem, thread, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use silica_api::names;
use silica_manifests::Object;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::Change;
use crate::{
    cli::{error::Error, report::Printer},
    cluster::{
        self, Cluster,
        apply::{self, Conflicts},
        request,
    },
    commands::rotate_certs::fingerprint_of,
    secrets,
    secrets::CERTIFICATE,
};

/// How long a cluster that does not answer is asked again. Shorter than what is left
/// behind the time limit, and than the patience of somebody who pressed Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(10);
/// A single request: those of the client may take minutes.
const REQUEST: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(500);

/// What there is to put back, from before the write until it counts. Dropped before
/// that, it puts the former certificate back.
pub(super) struct Undo {
    printer: Printer,
    work: Option<Work>,
}

struct Work {
    cluster: Cluster,
    former: Option<Secret>,
    /// SHA-256 of the new certificate.
    new: String,
}

/// How it ended.
#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    /// The former certificate is there again.
    PutBack,
    /// The new one is not there, so nothing had to be done.
    NotThere,
    /// There was none before: the new one stays.
    NoFormer,
}

impl Undo {
    pub(super) fn new(cluster: &Cluster, printer: &Printer, change: &Change<'_>) -> Self {
        Self {
            printer: printer.clone(),
            work: Some(Work {
                cluster: cluster.clone(),
                former: change.former.cloned(),
                new: change.fingerprint.to_owned(),
            }),
        }
    }

    /// The new certificate stays.
    pub(super) fn disarm(mut self) {
        self.work = None;
    }

    /// Puts the former certificate back because of the error; returns what to tell.
    pub(super) async fn after(mut self, cause: Error) -> Error {
        let Some(work) = &self.work else { return cause };
        let outcome = work.take_back().await;
        let error = work.told(cause, outcome);
        self.work = None;
        error
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let (Some(work), Ok(runtime)) = (mem::take(&mut self.work), Handle::try_current()) else {
            return;
        };
        self.printer.note("putting the former certificate back");
        // Not on this thread: it belongs to the runtime, and must not wait on it.
        let undone = thread::spawn(move || {
            let outcome = runtime.block_on(work.take_back());
            (work, outcome)
        });
        match undone.join() {
            Ok((_, Ok(Outcome::PutBack))) => self.printer.warn("the former certificate was put back"),
            Ok((_, Ok(Outcome::NotThere))) | Err(_) => {}
            Ok((work, Ok(Outcome::NoFormer))) => self.printer.warn(work.left()),
            Ok((work, Err(error))) => self.printer.warn(format!("{}: {error}", work.left())),
        }
    }
}

impl Work {
    /// Asks again while the cluster does not answer.
    async fn take_back(&self) -> Result<Outcome, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            let tried = timeout(REQUEST, self.try_once()).await;
            let failed = match tried {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(error)) => error,
                Err(_elapsed) => Error::Cluster(cluster::Error::Unreachable {
                    server: self.cluster.server.clone(),
                    why: format!("no answer within {} s", REQUEST.as_secs()),
                }),
            };
            if Instant::now() + PAUSE >= end {
                return Err(failed);
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_once(&self) -> Result<Outcome, Error> {
        let api: Api<Secret> = Api::namespaced(self.cluster.client.clone(), names::NAMESPACE);
        let title = format!("Secret {}/{}", names::NAMESPACE, names::TLS_SECRET);
        let found = api.get_opt(names::TLS_SECRET).await;
        let found = found.map_err(request("read", title))?;
        if found.as_ref().and_then(fingerprint).as_deref() != Some(&self.new) {
            return Ok(Outcome::NotThere);
        }
        let Some(former) = &self.former else {
            return Ok(Outcome::NoFormer);
        };
        let mut former = former.clone();
        // Server-side apply takes no object with the marks of an earlier state.
        former.metadata.managed_fields = None;
        former.metadata.resource_version = None;
        former.metadata.uid = None;
        apply::apply(&self.cluster, &Object::of(&former), Conflicts::Force).await?;
        Ok(Outcome::PutBack)
    }

    fn told(&self, cause: Error, outcome: Result<Outcome, Error>) -> Error {
        let cause = Box::new(cause);
        match outcome {
            Ok(Outcome::PutBack) => Error::TakenBack { cause },
            // The write did not happen, or somebody else has replaced it.
            Ok(Outcome::NotThere) => *cause,
            Ok(Outcome::NoFormer) => Error::LeftInPlace {
                cause,
                left: self.left(),
                source: None,
            },
            Err(source) => Error::LeftInPlace {
                cause,
                left: self.left(),
                source: Some(Box::new(source)),
            },
        }
    }

    /// What may be left, by fingerprints.
    fn left(&self) -> String {
        let new = &self.new;
        let Some(former) = &self.former else {
            return format!("the new certificate (SHA-256 {new}) stays, since there was none before");
        };
        let former = fingerprint(former).unwrap_or_else(|| "unreadable".to_owned());
        format!(
            "the new certificate (SHA-256 {new}) may be in place, and the former one (SHA-256 {former}) could not be \
             put back"
        )
    }
}

/// SHA-256 of the first certificate of a TLS Secret.
fn fingerprint(secret: &Secret) -> Option<String> {
    let chain = secrets::owned_text(secret.data.as_ref()?.get(CERTIFICATE).map(|bytes| &*bytes.0))?;
    fingerprint_of(&chain).ok().filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use silica_certs::{
        authority::{Authority, AuthorityRequest},
        leaf::LeafRequest,
    };
    use time::OffsetDateTime;

    use super::*;

    fn former() -> Secret {
        let (now, name) = (OffsetDateTime::now_utc(), "a.example".to_owned());
        let request = AuthorityRequest::new(vec![name.clone()], Vec::new());
        let authority = Authority::create(&request, now).unwrap();
        let leaf = authority.issue(&LeafRequest::new(vec![name]), now).unwrap();
        let chain = ByteString(leaf.chain_pem().as_bytes().to_vec());
        Secret {
            data: Some(BTreeMap::from([(CERTIFICATE.to_owned(), chain)])),
            ..Secret::default()
        }
    }

    fn work(former: Option<Secret>) -> Work {
        let config = kube::Config::new("http://192.0.2.1".parse().unwrap());
        Work {
            cluster: Cluster {
                client: kube::Client::try_from(config).unwrap(),
                server: String::new(),
            },
            former,
            new: "ab12".to_owned(),
        }
    }

    fn late() -> Error {
        Error::NotServed {
            route: "192.0.2.1:443".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_certificate_that_may_be_left_is_named_with_the_one_before() {
        let former = former();
        let before = fingerprint(&former).unwrap();
        let lost = || Err(Error::NotInstalled);
        let error = work(Some(former)).told(late(), lost());
        let text = error.to_string();
        for part in ["ab12", &before, "192.0.2.1:443"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert_eq!(error.exit(), late().exit());
        assert!(error.hint().unwrap().contains("silica certs inspect --cluster"));
        let unreadable = work(Some(Secret::default())).told(late(), lost());
        assert!(unreadable.to_string().contains("unreadable"));
    }

    #[tokio::test]
    async fn it_is_told_whether_the_former_certificate_is_back() {
        let told = |former, outcome| work(former).told(late(), Ok(outcome));
        let back = told(Some(former()), Outcome::PutBack);
        assert!(back.to_string().ends_with("the former certificate was put back"));
        assert!(matches!(
            told(Some(former()), Outcome::NotThere),
            Error::NotServed { .. }
        ));
        let stays = told(None, Outcome::NoFormer).to_string();
        assert!(stays.contains("ab12") && stays.contains("none before"), "{stays}");
    }
}
