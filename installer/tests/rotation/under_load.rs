//! Rotations while clients of several TLS stacks never stop asking, or stand still.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bundle, chain,
    fleet::{self, Fleet},
    harness::Harness,
    held::Held,
    load::{Client, Stack},
    phase, rotate,
};

/// The server gives up a handshake that takes longer, and with it a client that was
/// frozen in one.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Leaf rotation and all phases, with clients that hold the old CA only and
/// clients that hold the bundle of the first phase.
pub(crate) async fn under_load(harness: &Harness, fleet: &Fleet, stacks: &[Stack], folder: &Path) {
    let start = Instant::now();
    let (host, ports) = (format!("api.{}", fleet::DOMAIN), fleet.ports());
    let old = bundle(harness).await;
    let old_file = folder.join("old.pem");
    std::fs::write(&old_file, &old).unwrap();
    let held = Held::start(harness, ports[0], &old).await;
    let begin = |is_fresh: bool, file: &Path| -> Vec<Client> {
        let start = |stack| Client::start(stack, is_fresh, &host, &ports, file);
        stacks.iter().map(start).collect()
    };
    let mut with_old = begin(true, &old_file);
    let mut kept = begin(false, &old_file);
    warm(&mut with_old).await;
    warm(&mut kept).await;

    let took = rotate(harness, &[])["servedAfterMilliseconds"].clone();
    println!("server certificate: served everywhere after {took} ms");
    settle(&held, &mut [&mut with_old, &mut kept], "the server certificate").await;

    rotate(harness, &["--ca", "--step", "prepare"]);
    let both = bundle(harness).await;
    assert_eq!(both.matches("BEGIN CERTIFICATE").count(), 2);
    let bundle_file = folder.join("bundle.pem");
    std::fs::write(&bundle_file, &both).unwrap();
    let mut with_bundle = begin(true, &bundle_file);
    warm(&mut with_bundle).await;
    for step in ["spread", "switch", "soak"] {
        let began = Instant::now();
        rotate(harness, &["--ca", "--step", step]);
        println!("phase {step}: {} ms", began.elapsed().as_millis());
        assert_eq!(phase(harness), step);
        settle(&held, &mut [&mut with_old, &mut with_bundle, &mut kept], step).await;
    }
    // A renewal in the middle stays in step: nobody notices either.
    rotate(harness, &[]);
    assert_eq!(chain(harness).await.matches("BEGIN").count(), 2);
    settle(
        &held,
        &mut [&mut with_old, &mut with_bundle, &mut kept],
        "a renewal in the soak",
    )
    .await;

    rotate(harness, &["--ca", "--step", "retire"]);
    assert_eq!(phase(harness), Value::Null);
    assert_eq!(chain(harness).await.matches("BEGIN").count(), 1);
    assert!(!bundle(harness).await.contains(old.trim()));
    let before: Vec<u64> = [&with_old, &with_bundle, &kept]
        .into_iter()
        .flatten()
        .map(|client| client.total.failed)
        .collect();
    assert!(before.iter().all(|failed| *failed == 0));
    for client in &mut with_old {
        client.count();
    }
    // Connections of before are kept; new ones need the new CA.
    settle(&held, &mut [&mut with_bundle, &mut kept], "retire").await;
    let (pieces, echoes) = held.counts();
    println!(
        "{:<34} {:<12} {:>9} {:>7}",
        "client", "CA file", "requests", "failed"
    );
    for (clients, file) in [
        (&mut with_old, "old"),
        (&mut with_bundle, "bundle"),
        (&mut kept, "old"),
    ] {
        for client in clients {
            println!(
                "{:<34} {file:<12} {:>9} {:>7}",
                client.title, client.total.succeeded, client.total.failed
            );
        }
    }
    for client in &mut with_old {
        let counts = client.count();
        println!("after retire: {:<20} {}", client.title, counts.first_error);
        assert_eq!(counts.succeeded, 0, "{}", client.title);
        assert!(counts.failed > 0, "{}", client.title);
    }
    println!("held: a download of {pieces} pieces, a WebSocket of {echoes} echoes, both still alive");
    println!("under load: {} s", start.elapsed().as_secs());
}

/// Waits until every client has asked, and checks that none failed.
async fn warm(clients: &mut [Client]) {
    for client in clients {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let counts = client.count();
            assert_eq!(counts.failed, 0, "{}: {}", client.title, counts.first_error);
            if counts.succeeded > 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{} does not begin", client.title);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Lets every client ask again, and checks that none failed since the last time.
async fn settle(held: &Held, groups: &mut [&mut Vec<Client>], when: &str) {
    // What was asked before counts as well: nothing is thrown away.
    for client in groups.iter_mut().flat_map(|group| group.iter_mut()) {
        let counts = client.count();
        assert_eq!(
            counts.failed, 0,
            "{} during {when}: {}",
            client.title, counts.first_error
        );
    }
    for group in groups {
        warm(group).await;
    }
    held.verify_alive().await;
}

/// Processes that stand still, as on a laptop that is asleep, while certificate and
/// CA are replaced: the kept connection is still the same, and new ones work with
/// the CA that was read before.
pub(crate) async fn frozen_clients_go_on(harness: &Harness, fleet: &Fleet, stacks: &[Stack], folder: &Path) {
    let (host, ports) = (format!("api.{}", fleet::DOMAIN), fleet.ports());
    let file = folder.join("before-the-sleep.pem");
    std::fs::write(&file, bundle(harness).await).unwrap();
    let begin = |is_fresh: bool| -> Vec<Client> {
        let start = |stack| Client::start(stack, is_fresh, &host, &ports, &file);
        stacks.iter().map(start).collect()
    };
    let (mut fresh, mut kept) = (begin(true), begin(false));
    warm(&mut fresh).await;
    warm(&mut kept).await;
    let start = Instant::now();
    for client in fresh.iter().chain(&kept) {
        client.signal("-STOP");
    }
    let sockets: Vec<_> = kept.iter().map(Client::sockets).collect();
    rotate(harness, &[]);
    for step in ["prepare", "spread", "switch"] {
        rotate(harness, &["--ca", "--step", step]);
    }
    let slept = start.elapsed();
    for client in fresh.iter().chain(&kept) {
        client.signal("-CONT");
    }
    warm(&mut kept).await;
    let after: Vec<_> = kept.iter().map(Client::sockets).collect();
    assert_eq!(after, sockets, "a kept connection was replaced");
    if slept < HANDSHAKE {
        warm(&mut fresh).await;
    } else {
        println!("new connections of frozen clients: not checked, a handshake may have been given up");
    }
    println!(
        "{} clients were frozen for {} ms",
        fresh.len() + kept.len(),
        slept.as_millis()
    );
    rotate(harness, &["--ca", "--abort"]);
}
