//! Waits for the real signals that say a part of the cluster works.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client};

use crate::layout::{Layout, NODE_ADDRESS, NODE_NAME};
use crate::process::last_lines;
use crate::record::ProcessRecord;

/// How long any part may take; on a loaded machine with two cores it is a few seconds.
const TIMEOUT: Duration = Duration::from_secs(90);
/// How often a part is asked that offers nothing to wait on.
const INTERVAL: Duration = Duration::from_millis(50);

/// What a probe found.
pub(crate) enum Probe {
    Ready,
    NotYet(String),
}

/// Asks until the answer is yes. Fails at once when the daemon that should answer has ended.
pub(crate) async fn until<F>(
    layout: &Layout,
    daemon: &ProcessRecord,
    mut probe: impl FnMut() -> F,
) -> Result<()>
where
    F: Future<Output = Probe>,
{
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let reason = match probe().await {
            Probe::Ready => return Ok(()),
            Probe::NotYet(reason) => reason,
        };
        let log = layout.log(&daemon.name);
        let failed = |what: &str| {
            format!(
                "failed to start {}: {what}; the end of {}:\n{}",
                daemon.name,
                log.display(),
                last_lines(&log)
            )
        };
        if !daemon.is_alive() {
            bail!(failed("it ended"));
        }
        if Instant::now() > deadline {
            bail!(failed(&format!(
                "not ready after {} s: {reason}",
                TIMEOUT.as_secs()
            )));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Whether a log has this line yet.
pub(crate) fn probe_log(log: &Path, line: &str) -> Probe {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    if text.lines().any(|found| found == line) {
        Probe::Ready
    } else {
        Probe::NotYet("the log does not say so".to_owned())
    }
}

/// Whether a unix socket accepts connections.
pub(crate) async fn probe_socket(socket: &Path) -> Probe {
    match tokio::net::UnixStream::connect(socket).await {
        Ok(_) => Probe::Ready,
        Err(error) => Probe::NotYet(error.to_string()),
    }
}

/// Whether the API server says that it is ready.
pub(crate) async fn probe_apiserver(client: &Client) -> Probe {
    let request = match http_get("/readyz") {
        Ok(request) => request,
        Err(error) => return Probe::NotYet(error.to_string()),
    };
    match tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await {
        Ok(Ok(_)) => Probe::Ready,
        Ok(Err(error)) => Probe::NotYet(error.to_string()),
        Err(_) => Probe::NotYet("no answer within 2 s".to_owned()),
    }
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    http::Request::get(path)
        .body(Vec::new())
        .context("failed to make a request")
}

/// Whether the node takes pods.
pub(crate) async fn probe_node(client: &Client) -> Probe {
    let node = match Api::<Node>::all(client.clone()).get_opt(NODE_NAME).await {
        Ok(Some(node)) => node,
        Ok(None) => return Probe::NotYet("the node is not registered".to_owned()),
        Err(error) => return Probe::NotYet(error.to_string()),
    };
    let conditions = node
        .status
        .and_then(|status| status.conditions)
        .unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status == "True" => Probe::Ready,
        Some(ready) => Probe::NotYet(ready.message.clone().unwrap_or_default()),
        None => Probe::NotYet("the node has no Ready condition".to_owned()),
    }
}

/// Whether pods can be made in `default`: they need its service account.
pub(crate) async fn probe_service_account(client: &Client) -> Probe {
    match Api::<ServiceAccount>::namespaced(client.clone(), "default")
        .get_opt("default")
        .await
    {
        Ok(Some(_)) => Probe::Ready,
        Ok(None) => Probe::NotYet("there is no default service account".to_owned()),
        Err(error) => Probe::NotYet(error.to_string()),
    }
}

/// Whether the cluster's DNS knows the API server's service.
pub(crate) fn probe_dns() -> Probe {
    match resolve("kubernetes.default.svc.cluster.local") {
        Ok(true) => Probe::Ready,
        Ok(false) => Probe::NotYet("kubernetes.default.svc.cluster.local has no address".to_owned()),
        Err(error) => Probe::NotYet(error.to_string()),
    }
}

/// Asks for the A record of `name`; true when there is one (RFC 1035 section 4).
fn resolve(name: &str) -> std::io::Result<bool> {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.send_to(&render_query(name), (NODE_ADDRESS, 53))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(has_answer(&answer[..length]))
}

fn render_query(name: &str) -> Vec<u8> {
    // Identifier 1, recursion desired, one question.
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or(0));
        query.extend_from_slice(label.as_bytes());
    }
    // End of the name, type A, class IN.
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

/// No error code, and at least one answer record.
fn has_answer(message: &[u8]) -> bool {
    let [_, _, _, flags, _, _, high, low, ..] = message else {
        return false;
    };
    let code = flags % 16;
    code == 0 && (*high, *low) != (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_is_encoded_as_labels() {
        let query = render_query("a.bc");
        assert_eq!(&query[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
    }

    #[test]
    fn name_error_and_empty_answer_are_no_answer() {
        assert!(has_answer(&[0, 1, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]));
        assert!(!has_answer(&[0, 1, 0x85, 0x83, 0, 1, 0, 1, 0, 0, 0, 0]));
        assert!(!has_answer(&[0, 1, 0x85, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]));
        assert!(!has_answer(&[]));
    }
}
