//! What pods see: the DNS service of the cluster, over a connection that
//! somebody else makes, since this crate knows no Kubernetes.

use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Seen, ViewKind};
use crate::answer::{Answer, Found};
use crate::exchange;

/// A connection to a DNS server.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to the DNS service of a cluster.
pub struct Connection {
    /// Who is at the other end, for people.
    pub source: String,
    /// DNS over TCP.
    pub stream: Box<dyn Stream>,
}

/// The future of a connection; the error says why there is none.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Connection, String>> + Send + 'a>>;

/// Makes connections to the DNS service of a cluster.
pub trait ClusterDns: Send + Sync {
    /// Connects.
    fn connect(&self) -> Connecting<'_>;
}

/// Asks for all names over one connection.
pub(crate) async fn look(cluster: &dyn ClusterDns, names: &[Name], limit: Duration) -> Seen {
    const SOURCE: &str = "DNS service";
    let absent = |reason: String| Seen::absent(ViewKind::Cluster, SOURCE, reason);
    let mut connection = match timeout(limit, cluster.connect()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(reason)) => return absent(reason),
        Err(_) => return absent("no connection in time".into()),
    };
    let kinds = [RecordType::A, RecordType::AAAA];
    let questions: Vec<(Name, RecordType)> = names
        .iter()
        .flat_map(|name| kinds.map(|kind| (name.clone(), kind)))
        .collect();
    let messages = exchange::ask_over(&mut connection.stream, &questions, limit).await;
    let found: Vec<Found> = questions
        .iter()
        .zip(messages)
        .map(|((name, kind), message)| match message {
            Ok(message) => Found::read(name, *kind, &message),
            Err(error) => Found::failed(error),
        })
        .collect();
    let answers: Vec<Answer> = found
        .chunks(kinds.len())
        .map(|pair| Answer::merge(pair.iter().cloned()))
        .collect();
    if answers.iter().all(Answer::is_silence) {
        return absent(format!("{} does not answer", connection.source));
    }
    Seen {
        kind: ViewKind::Cluster,
        source: connection.source,
        serial: None,
        answers: Ok(answers),
    }
}
