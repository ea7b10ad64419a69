//! What one name server says, asked directly.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join, join_all};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};

use super::{Seen, ViewKind, describe};
use crate::answer::{Answer, CHAIN_MAX, Failure, Found};
use crate::exchange::{self, Mode};
use crate::name::absolute;
use crate::verdict::same;

/// A server, and how to ask it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) mode: Mode,
    /// For a server of a zone: the zone, beyond which it knows nothing, and the
    /// resolvers that know the rest.
    pub(crate) beyond: Option<(&'a Name, &'a [SocketAddr])>,
    /// How long one question may take.
    pub(crate) limit: Duration,
}

/// Asks a resolver for all names at once.
pub(crate) async fn look(kind: ViewKind, address: SocketAddr, names: &[Name], limit: Duration) -> Seen {
    let server = Server {
        address,
        mode: Mode::Recursive,
        beyond: None,
        limit,
    };
    Seen {
        kind,
        source: describe(address),
        serial: None,
        answers: Ok(join_all(names.iter().map(|name| server.answer(name))).await),
    }
}

impl Server<'_> {
    /// A and AAAA together, aliases followed to their end.
    pub(crate) async fn answer(&self, name: &Name) -> Answer {
        let mut answer = self.both(name).await;
        while let Some(target) = unfinished(name, &answer) {
            let next = match self.beyond {
                Some((zone, resolvers)) if !zone.zone_of(&target) => {
                    let ask = |kind| ask_found(resolvers, &target, kind, self.limit);
                    let (four, six) = join(ask(RecordType::A), ask(RecordType::AAAA)).await;
                    Answer::merge([four, six])
                }
                _ => self.both(&target).await,
            };
            if next.chain.is_empty() && next.addresses.is_empty() {
                answer.failures = next.failures;
                break;
            }
            answer = continued(name, answer, next);
        }
        answer
    }

    async fn both(&self, name: &Name) -> Answer {
        let (four, six) = join(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA)).await;
        Answer::merge([four, six])
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Found {
        let found = match exchange::ask(self.address, name, kind, self.mode, self.limit).await {
            Ok(message) => Found::read(name, kind, &message),
            Err(error) => Found::failed(error),
        };
        match &found.failure {
            Some(Failure::ServerFailure(reason))
                if self.mode == Mode::Recursive && self.answers_unchecked(name, kind).await =>
            {
                Found {
                    failure: Some(Failure::Bogus(reason.clone())),
                    ..found
                }
            }
            _ => found,
        }
    }

    /// Whether there is an answer that only fails validation.
    pub(crate) async fn answers_unchecked(&self, name: &Name, kind: RecordType) -> bool {
        exchange::ask(self.address, name, kind, Mode::Unchecked, self.limit)
            .await
            .is_ok_and(|message| is_answer(&message))
    }
}

/// The target that still has to be asked for, if any.
fn unfinished(name: &Name, answer: &Answer) -> Option<Name> {
    let open = answer.addresses.is_empty() && !answer.is_loop && answer.chain.len() < CHAIN_MAX;
    let last = answer.chain.last().filter(|_| open)?;
    // What the server could not tell is no end of the chain.
    let target = absolute(last).ok()?;
    (target != *name).then_some(target)
}

/// The answer for an alias, with what was found for its target.
fn continued(name: &Name, mut answer: Answer, next: Answer) -> Answer {
    let start = name.to_ascii();
    for link in next.chain {
        answer.is_loop |= same(&link, &start) || answer.chain.iter().any(|known| same(known, &link));
        answer.chain.push(link);
    }
    answer.is_loop |= next.is_loop;
    answer.ttl = answer.ttl.into_iter().chain(next.ttl).min();
    answer.addresses = next.addresses;
    answer.failures = next.failures;
    answer
}

/// Asks several resolvers at once and takes the first that knows.
pub(crate) async fn ask_any(
    resolvers: &[SocketAddr],
    name: &Name,
    kind: RecordType,
    limit: Duration,
) -> Result<Message, exchange::Error> {
    let mut asked = tokio::task::JoinSet::new();
    for resolver in resolvers.iter().copied() {
        let name = name.clone();
        asked.spawn(async move { exchange::ask(resolver, &name, kind, Mode::Recursive, limit).await });
    }
    let mut last = Err(exchange::Error::Unreachable("there is no resolver".into()));
    while let Some(done) = asked.join_next().await {
        match done {
            Ok(Ok(message)) if is_answer(&message) => return Ok(message),
            Ok(Ok(message)) => last = Ok(message),
            Ok(Err(error)) if last.is_err() => last = Err(error),
            _ => {}
        }
    }
    last
}

async fn ask_found(resolvers: &[SocketAddr], name: &Name, kind: RecordType, limit: Duration) -> Found {
    match ask_any(resolvers, name, kind, limit).await {
        Ok(message) => Found::read(name, kind, &message),
        Err(error) => Found::failed(error),
    }
}

fn is_answer(message: &Message) -> bool {
    matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    )
}
