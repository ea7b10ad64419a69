//! Waits until every name server of a zone shows the TXT records. The CA looks
//! from several places, and a single stale server makes it refuse.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use futures::future::join_all;
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, sleep};

use super::{Error as DnsError, Failure, Resolver, Server, absolute, query};
use crate::{Tell, provider::TxtRecord};

/// Pause between two looks; grows up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why the CA was not told to look.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The zone or its servers cannot be found.
    #[error("failed to find out who serves the TXT records")]
    Dns(#[from] DnsError),
    /// Not everybody shows the records.
    #[error("after {} s the TXT records are not to be seen everywhere:\n  - {}", waited.as_secs(), listed(late))]
    NotSeen {
        /// How long was waited.
        waited: Duration,
        /// The servers that lack something.
        late: Vec<Lack>,
    },
}

/// What a name server lacks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lack {
    /// The server.
    pub server: String,
    /// Name of the record.
    pub name: String,
    /// What is wrong.
    pub state: State,
}

/// What a name server shows of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// All values.
    Complete,
    /// Some are not there.
    Missing {
        /// How many.
        missing: usize,
        /// Of how many.
        wanted: usize,
    },
    /// It gave no answer.
    Silent(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Missing { missing, wanted } => write!(f, "{missing} of {wanted} values missing"),
            Self::Silent(why) => write!(f, "the server {why}"),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.server, self.name, self.state)
    }
}

fn listed(late: &[Lack]) -> String {
    late.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n  - ")
}

/// A name with all the values it has to have, and who serves it.
struct Watched {
    text: String,
    name: Name,
    values: Vec<String>,
    servers: Vec<Server>,
}

/// Waits at most `patience`.
pub async fn wait(
    resolver: &Resolver,
    records: &[TxtRecord],
    patience: Duration,
    tell: Tell<'_>,
) -> Result<(), Error> {
    let start = Instant::now();
    let watched = locate(resolver, records).await?;
    let mut pause = FIRST_PAUSE;
    loop {
        let late = observe(&watched).await;
        if late.is_empty() {
            return Ok(());
        }
        tell(&format!("{} not seen everywhere yet: {}", plural(&late), late[0]));
        if start.elapsed() + pause > patience {
            return Err(Error::NotSeen {
                waited: start.elapsed(),
                late,
            });
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

fn plural(late: &[Lack]) -> String {
    match late.len() {
        1 => "1 record".to_owned(),
        more => format!("{more} records"),
    }
}

async fn locate(resolver: &Resolver, records: &[TxtRecord]) -> Result<Vec<Watched>, Error> {
    let mut watched = Vec::new();
    for (text, values) in by_name(records) {
        let zone = resolver.zone(&text).await?;
        watched.push(Watched {
            name: absolute(&text)?,
            text,
            values,
            servers: zone.servers,
        });
    }
    Ok(watched)
}

/// Values by name: apex and wildcard share theirs.
fn by_name(records: &[TxtRecord]) -> BTreeMap<String, Vec<String>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        names
            .entry(record.name.clone())
            .or_default()
            .push(record.value.clone());
    }
    names
}

async fn observe(watched: &[Watched]) -> Vec<Lack> {
    let pairs = watched
        .iter()
        .flat_map(|record| record.servers.iter().map(move |server| (record, server)));
    let states = join_all(pairs.map(async |(record, server)| Lack {
        server: server.name.clone(),
        name: record.text.clone(),
        state: state_of(record, server).await,
    }))
    .await;
    let late = states.into_iter().filter(|lack| lack.state != State::Complete);
    late.collect()
}

async fn state_of(record: &Watched, server: &Server) -> State {
    let answers = server
        .addresses
        .iter()
        .map(|address| shown(*address, &record.name));
    judge(&record.values, &join_all(answers).await)
}

/// The values that one address of a server shows.
async fn shown(address: SocketAddr, name: &Name) -> Result<Vec<String>, Failure> {
    let answer = query(address, name, RecordType::TXT, false).await?;
    let values = answer.answers.into_iter().filter_map(|record| match record.data {
        RData::TXT(text) if record.name == *name => {
            Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned())
        }
        _ => None,
    });
    Ok(values.collect())
}

/// What a server shows, by the answers of its addresses. One that cannot be
/// reached from here does not matter beside one that can: not every machine has
/// IPv6. Pure.
fn judge(wanted: &[String], answers: &[Result<Vec<String>, Failure>]) -> State {
    let missing = |shown: &Vec<String>| wanted.iter().filter(|value| !shown.contains(value)).count();
    let worst = answers.iter().flatten().map(missing).max();
    match worst {
        Some(0) => State::Complete,
        Some(missing) => State::Missing {
            missing,
            wanted: wanted.len(),
        },
        None => State::Silent(match answers.iter().find_map(|answer| answer.as_ref().err()) {
            Some(failure) => failure.to_string(),
            None => "has no address".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_values_of_a_name_have_to_be_there() {
        let wanted = values(&["a", "b"]);
        assert_eq!(judge(&wanted, &[Ok(values(&["b", "x", "a"]))]), State::Complete);
        let missing = State::Missing {
            missing: 1,
            wanted: 2,
        };
        assert_eq!(judge(&wanted, &[Ok(values(&["a"]))]), missing);
        // One stale address is enough to wait.
        assert_eq!(judge(&wanted, &[Ok(wanted.clone()), Ok(values(&["a"]))]), missing);
    }

    #[test]
    fn an_unreachable_address_beside_a_good_one_does_not_matter() {
        let wanted = values(&["a"]);
        let answers = [Err(Failure::Timeout), Ok(wanted.clone())];
        assert_eq!(judge(&wanted, &answers), State::Complete);
        assert_eq!(
            judge(&wanted, &answers[..1]),
            State::Silent("did not answer in time".into())
        );
        assert_eq!(judge(&wanted, &[]), State::Silent("has no address".into()));
    }

    #[test]
    fn apex_and_wildcard_share_a_name() {
        let record = |value: &str| TxtRecord {
            name: "_acme-challenge.a.example".into(),
            value: value.into(),
        };
        let names = by_name(&[record("1"), record("2")]);
        assert_eq!(names.into_values().collect::<Vec<_>>(), [values(&["1", "2"])]);
    }
}
