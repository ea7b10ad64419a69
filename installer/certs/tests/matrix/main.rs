//! What the clients of an installation say to good and bad certificates: each
//! case beside what every client must answer.
//!
//! The clients are real: rustls, the E2B SDKs for Python, OpenSSL, CPython as it
//! is until 3.12 and as it is from 3.13 on, Go and Node. All but `openssl verify` connect over TCP to a
//! server that sends the chain, so what is judged is what a handshake carries.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod cases;
mod clients;
mod made;
mod outcomes;
mod server;

use std::fmt::Write as _;
use std::fs;

use cases::Expected;
use clients::Client;

#[test]
fn every_client_says_what_is_expected() {
    let cases = cases::all();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let folder = tempfile::tempdir().unwrap();
    let servers: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            let place = folder.path().join(format!("server-{index}"));
            fs::create_dir(&place).unwrap();
            server::start(&case.served, &place)
        })
        .collect();
    let targets: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            let roots = folder.path().join(format!("roots-{index}.pem"));
            fs::write(&roots, &case.roots).unwrap();
            let chain = folder.path().join(format!("chain-{index}.pem"));
            fs::write(&chain, &case.served.chain).unwrap();
            clients::Target {
                port: servers[index].port,
                host: case.host.clone(),
                roots,
                chain,
            }
        })
        .collect();

    // Side by side: most of the time is that of processes which start.
    let targets = &targets;
    let columns: Vec<_> = std::thread::scope(|scope| {
        let asked = Client::ALL.map(|client| (client, scope.spawn(move || client.judge_all(targets))));
        let answered = asked.into_iter();
        answered
            .filter_map(|(client, verdicts)| Some((client, verdicts.join().unwrap()?)))
            .collect()
    });
    let mut table = format!("{:<52}", "");
    for (client, _) in &columns {
        write!(table, "{:<14}", client.title()).unwrap();
    }
    let mut wrong = String::new();
    for (index, case) in cases.iter().enumerate() {
        write!(table, "\n{:<52}", case.name).unwrap();
        for (client, verdicts) in &columns {
            let said = &verdicts[index];
            let expected = case.expected.of(*client);
            table.push_str(if said.is_ok() {
                "accepts       "
            } else {
                "refuses       "
            });
            if !is_as_expected(said, expected) {
                table.truncate(table.trim_end().len());
                table.push_str(" !    ");
                writeln!(
                    wrong,
                    "{}: {} says {said:?}, expected {expected:?}",
                    case.name,
                    client.title()
                )
                .unwrap();
            }
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn is_as_expected(said: &Result<(), String>, expected: Expected) -> bool {
    match (said, expected) {
        (Ok(()), Expected::Accepts) | (_, Expected::Varies) => true,
        (Err(reason), Expected::Refuses(part)) => reason.contains(part),
        _ => false,
    }
}
