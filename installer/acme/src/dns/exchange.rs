//! One question to one name server: UDP with one repeat, TCP for what does not
//! fit (RFC 7766).

use std::{io, net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long one packet is waited for.
const ANSWER: Duration = Duration::from_secs(2);
/// Packets sent before giving up.
const TRIES: usize = 2;
/// What fits any path without fragments (DNS flag day 2020).
const UDP_MAX: u16 = 1232;

/// Why a server gave no usable answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Silence.
    #[error("did not answer in time")]
    Timeout,
    /// No connection.
    #[error("cannot be reached: {0}")]
    Io(String),
    /// Not DNS.
    #[error("answered something that is not DNS: {0}")]
    Malformed(String),
    /// It will not or cannot answer.
    #[error("answered {}", super::code(*.0))]
    Refused(ResponseCode),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Asks for records. An answer that the name or the type does not exist is an
/// answer; one that says nothing about it is a failure.
pub(crate) async fn query(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    is_recursive: bool,
) -> Result<Message, Failure> {
    let mut request = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    request.metadata.recursion_desired = is_recursive;
    request.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_MAX);
    request.set_edns(edns);
    let bytes = request
        .to_vec()
        .map_err(|error| Failure::Malformed(error.to_string()))?;

    let mut outcome = Err(Failure::Timeout);
    for _ in 0..TRIES {
        outcome = match timeout(ANSWER, send_udp(server, &bytes, &request)).await {
            Ok(answered) => answered,
            Err(_elapsed) => continue,
        };
        if outcome.is_ok() {
            break;
        }
    }
    let mut answer = outcome?;
    if answer.metadata.truncation {
        let whole = timeout(ANSWER * 2, send_tcp(server, &bytes)).await;
        let whole = whole.map_err(|_elapsed| Failure::Timeout)??;
        answer = Message::from_vec(&whole).map_err(|error| Failure::Malformed(error.to_string()))?;
    }
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        code => Err(Failure::Refused(code)),
    }
}

async fn send_udp(server: SocketAddr, bytes: &[u8], request: &Message) -> Result<Message, Failure> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    // Connected: packets of others do not arrive.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Ok(answer) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        if answer.metadata.id == request.metadata.id && answer.queries == request.queries {
            return Ok(answer);
        }
    }
}

/// Sends one message over TCP and reads the answer. The caller bounds the time.
pub(crate) async fn send_tcp(server: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let length = u16::try_from(bytes.len()).map_err(|_| Failure::Malformed("too long".to_owned()))?;
    let mut stream = TcpStream::connect(server).await?;
    stream
        .write_all(&[&length.to_be_bytes()[..], bytes].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
