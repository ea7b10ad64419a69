//! The replacement of certificates and of the CA on a real API server, with
//! servers and controllers as processes, under load: clients of several TLS
//! stacks that never stop asking, and connections that are held all the time.
//!
//! Needs the cluster of `SILICA_TEST_KUBECONFIG` (without an installation, with a
//! node for pods that never start, as the preflight asks for one), and `SILICA_MANAGER`, an executable `sandbox-manager`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

mod fleet;
#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod harness;
mod held;
mod load;

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use fleet::Fleet;
use harness::Harness;
use held::Held;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use load::{Client, Stack};
use serde_json::{Value, json};
use silica_api::names;
use silica_certs::inspect;

const INSTALL: [&str; 13] = [
    "install",
    "--no-wait",
    "--domain",
    fleet::DOMAIN,
    "--expose",
    "direct",
    "--service-type",
    "NodePort",
    "--images",
    "none",
    "--manager-image",
    "silica.invalid/manager:1",
    "--runtime-image=silica.invalid/runtime:1",
];
/// The server gives up a handshake that takes longer, and with it a client that was
/// frozen in one.
const HANDSHAKE: Duration = Duration::from_secs(10);
const UNINSTALL: [&str; 3] = ["uninstall", "--delete-sandboxes", "--delete-crds"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_fails_nobody() {
    let Some(program) = manager() else { return };
    let Some(harness) = Harness::connect().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let stacks = load::stacks(folder.path());
    expect(&harness, &INSTALL, 0, &[]);
    let outage = fleet::Outage::new(&harness, folder.path()).await;
    let mut fleet = Fleet::new(&harness, program, folder.path()).await;
    fleet.start_server("server-a", None);
    fleet.start_server("server-b", Some(&outage.kubeconfig));
    fleet.start_controller("controller-a", &[]);
    fleet.start_controller("controller-b", &[]);
    fleet.wait_ready().await;
    fleet.expose(&harness).await;

    under_load(&harness, &fleet, &stacks, folder.path()).await;
    frozen_clients_go_on(&harness, &fleet, &stacks, folder.path()).await;
    a_new_certificate_is_served_within_a_second(&harness, &fleet).await;
    a_damaged_secret_keeps_the_certificate(&harness, &fleet).await;
    an_outage_of_the_api_server_is_caught_up(&harness, &fleet, &outage).await;
    every_phase_can_be_undone(&harness, &fleet).await;
    killed_at_any_moment_it_goes_on(&harness, &fleet).await;
    without_a_step_it_stops_before_retire(&harness, &fleet).await;
    an_emergency_distrusts_at_once(&harness, &fleet).await;
    the_lock_is_taken_by_writers_only(&harness).await;
    the_controller_goes_on_with_what_it_began(&harness, &mut fleet).await;

    held::remove(&harness).await;
    fleet.remove(&harness).await;
    expect(&harness, &UNINSTALL, 0, &[]);
}

fn manager() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("SILICA_MANAGER") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "SILICA_MANAGER must be set on CI"
        );
        println!("not run: SILICA_MANAGER does not name an executable");
        return None;
    };
    Some(path.into())
}

#[track_caller]
fn expect(harness: &Harness, args: &[&str], code: i32, parts: &[&str]) -> Output {
    let output = harness.silica(args);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "silica {args:?}\n{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    output
}

#[track_caller]
fn rotate(harness: &Harness, args: &[&str]) -> Value {
    let output = expect(
        harness,
        &[&["rotate-certs"], args, &["-o", "json"]].concat(),
        0,
        &[],
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn phase(harness: &Harness) -> Value {
    rotate(harness, &["status"])["phase"].clone()
}

async fn bundle(harness: &Harness) -> String {
    let api: Api<ConfigMap> = Api::namespaced(harness.client(), names::NAMESPACE);
    let map = api.get(names::CA_BUNDLE).await.unwrap();
    map.data.unwrap().remove(names::CA_BUNDLE_KEY).unwrap()
}

async fn chain(harness: &Harness) -> String {
    let api: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let secret = api.get(names::TLS_SECRET).await.unwrap();
    String::from_utf8(secret.data.unwrap().remove("tls.crt").unwrap().0).unwrap()
}

async fn fingerprint(harness: &Harness) -> String {
    inspect::parse_chain(&chain(harness).await)
        .unwrap()
        .remove(0)
        .fingerprint
}

/// Every server serves what the Secret holds, and a client with these roots
/// accepts it, or does not.
async fn verify_served(harness: &Harness, fleet: &Fleet, roots: &str, is_accepted: bool) {
    let fingerprint = fingerprint(harness).await;
    fleet.wait_served(&fingerprint).await;
    for port in fleet.ports() {
        assert_eq!(held::accepts(port, roots).await, is_accepted);
    }
}

/// Leaf rotation and all phases, with clients that hold the old CA only and
/// clients that hold the bundle of the first phase.
async fn under_load(harness: &Harness, fleet: &Fleet, stacks: &[Stack], folder: &Path) {
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

/// Lets every client ask anew, and checks that none failed since the last time.
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
async fn frozen_clients_go_on(harness: &Harness, fleet: &Fleet, stacks: &[Stack], folder: &Path) {
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

async fn a_new_certificate_is_served_within_a_second(harness: &Harness, fleet: &Fleet) {
    let output = rotate(harness, &[]);
    let fingerprint = output["fingerprint"].as_str().unwrap().to_owned();
    let took = output["servedAfterMilliseconds"].as_u64().unwrap();
    println!("from the write to every server: {took} ms");
    assert!(took < 1000, "{took} ms");
    assert!(fleet.wait_served(&fingerprint).await < Duration::from_secs(1));
}

async fn patch_leaf(harness: &Harness, patch: Value) {
    let api: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    api.patch(names::TLS_SECRET, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

async fn a_damaged_secret_keeps_the_certificate(harness: &Harness, fleet: &Fleet) {
    let (served, good) = (fingerprint(harness).await, chain(harness).await);
    let entry = |text: &str| json!({"data": {"tls.crt": k8s_openapi::ByteString(text.as_bytes().to_vec())}});
    patch_leaf(harness, entry("not a certificate")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for port in fleet.ports() {
        assert_eq!(held::fingerprint(port).await.as_deref(), Some(&*served));
    }
    patch_leaf(harness, entry(&good)).await;
    let fingerprint = rotate(harness, &[])["fingerprint"].clone();
    fleet.wait_served(fingerprint.as_str().unwrap()).await;
}

/// One server is cut off from the API server while the certificate changes.
async fn an_outage_of_the_api_server_is_caught_up(harness: &Harness, fleet: &Fleet, outage: &fleet::Outage) {
    let before = fingerprint(harness).await;
    outage.set_up(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // It cannot know, so the command takes the new certificate back.
    let cut = ["rotate-certs", "--timeout", "2s"];
    let output = harness.silica(&cut);
    assert_eq!(output.status.code(), Some(124), "{output:?}");
    assert_eq!(fingerprint(harness).await, before);
    let cut_off = fleet.servers[1].https;
    assert_eq!(held::fingerprint(cut_off).await.as_deref(), Some(&*before));
    let start = Instant::now();
    outage.set_up(true);
    let new = rotate(harness, &[])["fingerprint"].clone();
    fleet.wait_served(new.as_str().unwrap()).await;
    println!("caught up {} ms after the outage", start.elapsed().as_millis());
}

async fn every_phase_can_be_undone(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    let steps = ["prepare", "spread", "switch", "soak"];
    for last in 0..steps.len() {
        for step in &steps[..=last] {
            rotate(harness, &["--ca", "--step", step]);
        }
        rotate(harness, &["--ca", "--abort"]);
        assert_eq!(phase(harness), Value::Null);
        assert_eq!(bundle(harness).await, old, "undone after {}", steps[last]);
        assert_eq!(chain(harness).await.matches("BEGIN").count(), 1);
        verify_served(harness, fleet, &old, true).await;
    }
    expect(
        harness,
        &["rotate-certs", "--ca", "--step", "retire"],
        65,
        &["prepare comes before retire"],
    );
}

/// SIGKILL after a time that grows from run to run, so that every write is hit;
/// the same command again goes on, and clients with the old CA never fail.
async fn killed_at_any_moment_it_goes_on(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    let mut kills = 0;
    for step in ["prepare", "spread", "switch", "soak", "retire"] {
        let args = ["rotate-certs", "--ca", "--step", step];
        let took = Instant::now();
        let mut delay = Duration::from_millis(40);
        loop {
            let mut child = harness.start(&args);
            tokio::time::sleep(delay).await;
            let ended = child.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            delay += Duration::from_millis(60);
            assert!(
                took.elapsed() < Duration::from_secs(20),
                "{step} makes no progress"
            );
            if step != "retire" {
                for port in fleet.ports() {
                    assert!(held::accepts(port, &old).await, "killed in {step}");
                }
            }
        }
        // Done by then, or by this. Behind the last phase nothing is left to go on with.
        if step != "retire" || phase(harness) != Value::Null {
            expect(harness, &args, 0, &[]);
        }
    }
    println!("killed {kills} times");
    assert_eq!(phase(harness), Value::Null);
    let new = bundle(harness).await;
    assert_eq!(new.matches("BEGIN CERTIFICATE").count(), 1);
    verify_served(harness, fleet, &new, true).await;
    verify_served(harness, fleet, &old, false).await;
}

async fn without_a_step_it_stops_before_retire(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    let start = Instant::now();
    let status = rotate(harness, &["--ca", "--spread", "1s", "--soak", "1s"]);
    println!("without a step: {} ms", start.elapsed().as_millis());
    assert_eq!(status["phase"], "soak");
    assert!(status["next"].as_str().unwrap().contains("--step retire"));
    verify_served(harness, fleet, &old, true).await;
    // Again: nothing more happens without the word.
    rotate(harness, &["--ca", "--soak", "1s"]);
    assert_eq!(phase(harness), "soak");
    rotate(harness, &["--ca", "--step", "retire"]);
    verify_served(harness, fleet, &old, false).await;
    expect(
        harness,
        &["rotate-certs", "--ca", "--abort"],
        0,
        &["nothing to do"],
    );
}

async fn an_emergency_distrusts_at_once(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    rotate(harness, &["--ca", "--emergency"]);
    let new = bundle(harness).await;
    verify_served(harness, fleet, &old, false).await;
    verify_served(harness, fleet, &new, true).await;
    assert_eq!(new.matches("BEGIN CERTIFICATE").count(), 1);
}

async fn the_lock_is_taken_by_writers_only(harness: &Harness) {
    use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
    let api: Api<Lease> = Api::namespaced(harness.client(), names::NAMESPACE);
    let lease = silica_api::lock::lease(names::NAMESPACE, "jane@laptop-7", None, Timestamp::now());
    api.create(&kube::api::PostParams::default(), &lease)
        .await
        .unwrap();
    expect(harness, &["rotate-certs", "status"], 0, &["no rotation"]);
    expect(harness, &["rotate-certs", "--ca"], 75, &["jane@laptop-7"]);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    expect(
        harness,
        &["certs", "generate", "-d", fleet::DOMAIN, "-o", dir],
        0,
        &[],
    );
    let (cert, key) = (format!("{dir}/fullchain.pem"), format!("{dir}/privkey.pem"));
    let import = ["certs", "import", "--cert", &cert, "--key", &key];
    expect(harness, &import, 75, &["jane@laptop-7"]);
    api.delete(silica_api::lock::LEASE, &kube::api::DeleteParams::default())
        .await
        .unwrap();
}

/// A CA near its end is replaced by the controllers, one of which is killed in
/// the middle; the command line shows it and takes part.
async fn the_controller_goes_on_with_what_it_began(harness: &Harness, fleet: &mut Fleet) {
    use silica_certs::authority::{Authority, AuthorityRequest};
    fleet.stop_controllers();
    let now = time::OffsetDateTime::now_utc();
    let manager = format!("{}.{}.svc", names::MANAGER, names::NAMESPACE);
    let request = AuthorityRequest {
        validity: time::Duration::days(20),
        ..AuthorityRequest::new(
            vec![fleet::DOMAIN.to_owned()],
            vec![manager.clone(), format!("{manager}.cluster.local")],
        )
    };
    let ending = Authority::create(&request, now).unwrap();
    let secrets: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let entry = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
    let data = json!({"data": {"tls.crt": entry(ending.certificate_pem()), "ca.crt": entry(ending.certificate_pem()),
        "tls.key": entry(ending.key_pem().expose())}});
    secrets
        .patch(names::CA_SECRET, &PatchParams::default(), &Patch::Merge(data))
        .await
        .unwrap();
    // Certificate and bundle follow, as after any change of the CA.
    expect(harness, &INSTALL, 0, &[]);
    let old = ending.certificate_pem().to_owned();
    verify_served(harness, fleet, &old, true).await;

    let start = Instant::now();
    let flags = ["--ca-spread", "1s", "--ca-soak", "8s"];
    fleet.start_controller("controller-c", &flags);
    let reached = async |wanted: &str| {
        fleet::eventually(wanted, async || phase(harness) == wanted).await;
    };
    reached("prepare").await;
    let status = rotate(harness, &["status"]);
    assert_eq!(status["startedBy"], names::CONTROLLER);
    fleet.kill_controllers();
    fleet.start_controller("controller-d", &flags);
    reached("switch").await;
    let both = bundle(harness).await;
    verify_served(harness, fleet, &old, true).await;
    verify_served(harness, fleet, &both, true).await;
    // The user's word ends the soak; the controller retires.
    rotate_when_free(harness, &["rotate-certs", "--ca", "--step", "soak"]);
    fleet::eventually("the former CA is retired", async || {
        phase(harness) == Value::Null && chain(harness).await.matches("BEGIN").count() == 1
    })
    .await;
    println!("replaced by the controllers: {} ms", start.elapsed().as_millis());
    verify_served(harness, fleet, &old, false).await;
    verify_served(harness, fleet, &both, true).await;
}

/// Again while the controller makes a step.
#[track_caller]
fn rotate_when_free(harness: &Harness, args: &[&str]) {
    for _ in 0..50 {
        if harness.silica(args).status.code() != Some(75) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the lock is never free");
}
