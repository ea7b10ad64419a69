//! One question to one name server, over UDP and TCP.
//!
//! A resolver library hides what a check has to see: which server said it,
//! whether it is authoritative, and what a truncated or a broken answer was. So
//! the questions to chosen servers are sent as they are.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

/// Size of UDP answers that we take: what passes every network unfragmented
/// (RFC 9715 section 3).
const UDP_PAYLOAD: u16 = 1232;
/// UDP datagrams that are sent before TCP is tried: some networks drop UDP.
const DATAGRAMS: u32 = 2;

/// Why a server gave no usable answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The server cannot be reached.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The answer does not fit into a datagram, and TCP does not work.
    #[error("the answer is truncated and TCP does not work: {0}")]
    Truncated(String),
    /// The answer is not DNS.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
}

/// How a question is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// To a resolver: it shall find out.
    Recursive,
    /// To a resolver, without DNSSEC validation: tells a bogus zone from a
    /// broken server (the CD bit, RFC 4035 section 3.2.2).
    Unchecked,
    /// To a server of the zone: what it knows by itself.
    Authoritative,
}

/// Asks one server. UDP first; TCP when the answer is truncated, or when UDP
/// brings none.
pub async fn ask(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    mode: Mode,
    limit: Duration,
) -> Result<Message, Error> {
    let deadline = Instant::now() + limit;
    let question = question(name, kind, mode, true);
    let answer = ask_once(server, &question, deadline, limit).await?;
    // Servers from before EDNS refuse it (RFC 6891 section 7).
    match answer.metadata.response_code {
        ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS if answer.answers.is_empty() => {
            let plain = self::question(name, kind, mode, false);
            ask_once(server, &plain, deadline, limit).await
        }
        _ => Ok(answer),
    }
}

/// Asks several questions over one connection and returns the answers in their
/// order. Servers may answer in any (RFC 7766 section 6.2.1).
pub async fn ask_over(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    questions: &[(Name, RecordType)],
    limit: Duration,
) -> Vec<Result<Message, Error>> {
    let mut waiting = HashMap::new();
    let mut answers: Vec<Result<Message, Error>> = vec![Err(Error::Timeout); questions.len()];
    let deadline = Instant::now() + limit;
    let exchange = async {
        for (at, (name, kind)) in questions.iter().enumerate() {
            let mut message = question(name, *kind, Mode::Recursive, true);
            while waiting.contains_key(&message.metadata.id) {
                message.metadata.id = rand::random();
            }
            write_message(stream, &encode(&message)?)
                .await
                .map_err(unreachable)?;
            waiting.insert(message.metadata.id, (at, message));
        }
        while !waiting.is_empty() {
            let bytes = read_message(stream).await.map_err(unreachable)?;
            let answer = decode(&bytes)?;
            if let Some((at, _)) = waiting
                .get(&answer.metadata.id)
                .filter(|(_, asked)| is_answer(asked, &answer))
            {
                let at = *at;
                waiting.remove(&answer.metadata.id);
                answers[at] = Ok(answer);
            }
        }
        Ok::<(), Error>(())
    };
    if let Ok(Err(error)) = timeout_at(deadline, exchange).await {
        for answer in answers.iter_mut().filter(|answer| answer.is_err()) {
            *answer = Err(error.clone());
        }
    }
    answers
}

async fn ask_once(
    server: SocketAddr,
    question: &Message,
    deadline: Instant,
    limit: Duration,
) -> Result<Message, Error> {
    // The last part of the time belongs to TCP.
    let pause = limit / (DATAGRAMS + 1);
    let bytes = encode(question)?;
    match ask_udp(server, question, &bytes, pause, deadline).await {
        Ok(answer) if answer.metadata.truncation => ask_tcp(server, question, &bytes, deadline)
            .await
            .map_err(|error| match error {
                Error::Malformed(_) => error,
                other => Error::Truncated(other.to_string()),
            }),
        Ok(answer) => Ok(answer),
        Err(Error::Malformed(why)) => Err(Error::Malformed(why)),
        Err(udp) => ask_tcp(server, question, &bytes, deadline).await.map_err(|tcp| {
            // Silence of UDP says more than a closed TCP port, which is common.
            if udp == Error::Timeout { udp } else { tcp }
        }),
    }
}

async fn ask_udp(
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
    pause: Duration,
    deadline: Instant,
) -> Result<Message, Error> {
    let here = if server.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let socket = UdpSocket::bind(here).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    for _ in 0..DATAGRAMS {
        socket.send(bytes).await.map_err(unreachable)?;
        let until = deadline.min(Instant::now() + pause);
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            let length = received.map_err(unreachable)?;
            match decode(&buffer[..length]) {
                Ok(answer) if is_answer(question, &answer) => return Ok(answer),
                Err(error) if buffer[..2] == bytes[..2] => return Err(error),
                // Somebody else's answer, or a late one.
                _ => {}
            }
        }
    }
    Err(Error::Timeout)
}

async fn ask_tcp(
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
    deadline: Instant,
) -> Result<Message, Error> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await.map_err(unreachable)?;
        write_message(&mut stream, bytes).await.map_err(unreachable)?;
        let answer = decode(&read_message(&mut stream).await.map_err(unreachable)?)?;
        if is_answer(question, &answer) {
            Ok(answer)
        } else {
            Err(Error::Malformed("it answers another question".into()))
        }
    };
    let left = deadline.saturating_duration_since(Instant::now());
    timeout(left, exchange).await.map_err(|_| Error::Timeout)?
}

fn question(name: &Name, kind: RecordType, mode: Mode, with_edns: bool) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = mode != Mode::Authoritative;
    message.metadata.checking_disabled = mode == Mode::Unchecked;
    message.add_query(Query::query(name.clone(), kind));
    if with_edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        message.set_edns(edns);
    }
    message
}

/// Whether this answers that: number, direction and question fit. Servers that
/// fail may leave the question out.
fn is_answer(question: &Message, answer: &Message) -> bool {
    let same_question = match (question.queries.first(), answer.queries.first()) {
        (Some(asked), Some(answered)) => {
            asked.query_type() == answered.query_type() && asked.name() == answered.name()
        }
        _ => answer.metadata.response_code != ResponseCode::NoError,
    };
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && same_question
}

fn encode(message: &Message) -> Result<Vec<u8>, Error> {
    message
        .to_vec()
        .map_err(|error| Error::Malformed(error.to_string()))
}

fn decode(bytes: &[u8]) -> Result<Message, Error> {
    Message::from_vec(bytes).map_err(|error| Error::Malformed(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unreachable(error: io::Error) -> Error {
    Error::Unreachable(error.to_string())
}

/// A message on a stream has its length in front (RFC 1035 section 4.2.2).
async fn write_message(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), bytes].concat();
    stream.write_all(&framed).await?;
    stream.flush().await
}

async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
