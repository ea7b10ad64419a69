//! What `getaddrinfo` says, which curl, Node and older SDKs ask.
//!
//! It consults `nsswitch.conf`, whose modules a static executable cannot load.
//! So the `getent` of the system's own C library is run.

use std::io;
use std::net::IpAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use futures::future::join_all;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Seen, ViewKind};
use crate::answer::{Answer, Failure};
use crate::probe::Probe;

/// Asks for all names at once.
pub(crate) async fn look(probes: &[Probe], limit: Duration) -> Seen {
    let answers = join_all(probes.iter().map(|probe| ask(&probe.name, limit))).await;
    let answers: io::Result<Vec<Answer>> = answers.into_iter().collect();
    Seen {
        kind: ViewKind::Libc,
        source: "getent ahosts".into(),
        serial: None,
        answers: answers.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "this system has no getent".into(),
            _ => format!("getent cannot be run: {error}"),
        }),
    }
}

async fn ask(name: &str, limit: Duration) -> io::Result<Answer> {
    let mut command = Command::new("getent");
    // With the final dot no search list is tried.
    command.arg("ahosts").arg(format!("{name}."));
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match timeout(limit, command.output()).await {
        Ok(output) => Ok(read(&output?)),
        Err(_) => Ok(Answer {
            failures: vec![Failure::Timeout],
            ..Answer::default()
        }),
    }
}

fn read(output: &Output) -> Answer {
    let mut answer = Answer {
        addresses: addresses(&String::from_utf8_lossy(&output.stdout)),
        ..Answer::default()
    };
    if answer.addresses.is_empty() {
        // getent does not tell absence from failure: 2 is "not found" for both.
        answer.failures.push(Failure::NxDomain);
    }
    answer
}

/// The first column holds the addresses, each once for every kind of socket.
fn addresses(text: &str) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_counts_once() {
        let text =
            "192.0.2.1       STREAM a.test\n192.0.2.1       DGRAM  \n2001:db8::1     STREAM \nrubbish\n";
        let expected: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"].map(|a| a.parse().unwrap()).into();
        assert_eq!(addresses(text), expected);
    }
}
