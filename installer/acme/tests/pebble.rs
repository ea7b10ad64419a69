//! Certificates from a real CA (Pebble), proved through a real name server that
//! takes signed updates (Knot DNS).

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use silica_acme::{
    Account, Dns01, Error, Exec, Issued, Manual, Order, TxtRecord, account, issue,
    provider::{self, tsig},
};
use silica_acme_stage::{BLOCKED, CLOSED, KEY, Knot, Pebble, SECRET, Stage, ZONE};
use silica_certs::{inspect, verify, whole_text};

const WAIT: Duration = Duration::from_secs(10);

async fn obtain(stage: &Stage, provider: impl Dns01, domain: &str) -> Result<Issued, Error> {
    let account = stage.account().await;
    let resolver = stage.knot.resolver();
    issue(&account, &resolver, Arc::new(provider), &order(domain), &|_| {}).await
}

fn order(domain: &str) -> Order {
    Order {
        domains: vec![domain.to_owned()],
        wait: WAIT,
    }
}

fn domain() -> String {
    format!("sandbox.{ZONE}")
}

/// Apex and wildcard, our key, and a chain.
fn check(issued: &Issued, domain: &str) {
    let chain = inspect::parse_chain(&issued.chain_pem).unwrap();
    assert!(chain.len() > 1, "no issuer came along");
    for name in [domain.to_owned(), format!("api.{domain}")] {
        assert!(chain[0].covers(&name), "{:?}", chain[0].names);
    }
    verify::key_matches(&issued.chain_pem, issued.key.expose()).unwrap();
}

#[tokio::test]
async fn signed_updates_prove_apex_and_wildcard_and_are_taken_back() {
    let Some(stage) = Stage::set(0) else { return };
    let issued = obtain(&stage, stage.updates(Knot::key()), &domain())
        .await
        .unwrap();
    check(&issued, &domain());
    assert_eq!(stage.knot.challenges(&domain()), Vec::<String>::new());
}

#[tokio::test]
async fn refused_nonces_are_survived_and_the_account_is_used_again() {
    let Some(stage) = Stage::set(50) else { return };
    let account = stage.account().await;
    let again = Account::open(&stage.request(), account.credentials(), &stage.knot.resolver())
        .await
        .unwrap();
    assert_eq!(again.id(), account.id());
    let provider = Arc::new(stage.updates(Knot::key()));
    for domain in [domain(), ZONE.to_owned()] {
        let (resolver, wanted) = (stage.knot.resolver(), order(&domain));
        let issued = issue(&again, &resolver, Arc::clone(&provider), &wanted, &|_| {}).await;
        check(&issued.unwrap(), &domain);
    }
}

#[tokio::test]
async fn a_wrong_secret_key_or_zone_is_told_apart() {
    let Some(stage) = Stage::set(0) else { return };
    let refusal = async |key: tsig::Key, domain: &str| match obtain(&stage, stage.updates(key), domain).await
    {
        Err(Error::Provider(error)) => error,
        Err(other) => panic!("{}", whole_text(&other)),
        Ok(_) => panic!("a certificate without proof"),
    };
    let other = SECRET.replace("c2V", "c2W");
    let bad_secret = tsig::Key::read(&other, Some(KEY), None).unwrap();
    let bad_name = tsig::Key::read(SECRET, Some("nobody"), None).unwrap();
    let error = refusal(bad_secret, &domain()).await;
    assert!(
        matches!(error, provider::Error::Signature(tsig::Refusal::Signature { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("BADSIG"), "{error}");
    let error = refusal(bad_name, &domain()).await;
    assert!(
        matches!(error, provider::Error::Signature(tsig::Refusal::Key { .. })),
        "{error}"
    );
    let error = refusal(Knot::key(), CLOSED).await;
    assert!(error.to_string().contains("does not let it update"), "{error}");
}

#[tokio::test]
async fn a_hook_proves_it_too() {
    let Some(stage) = Stage::set(0) else { return };
    let folder = tempfile::tempdir().unwrap();
    let hook = Exec::new(&stage.knot.hook(folder.path()), WAIT);
    let issued = obtain(&stage, hook, &domain()).await.unwrap();
    check(&issued, &domain());
    assert_eq!(stage.knot.challenges(&domain()), Vec::<String>::new());
    let failing = Exec::new(Path::new("/bin/false"), WAIT);
    let error = obtain(&stage, failing, &domain()).await.unwrap_err();
    assert!(
        whole_text(&error).contains("/bin/false present _acme-challenge."),
        "{}",
        whole_text(&error)
    );
}

/// Reads what a person would copy into the zone.
fn printed(text: &str) -> Vec<TxtRecord> {
    let lines = text.lines().filter(|line| line.contains(" IN TXT "));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            TxtRecord {
                name: words[0].trim_end_matches('.').to_owned(),
                value: words[4].trim_matches('"').to_owned(),
            }
        })
        .collect()
}

#[tokio::test]
async fn printed_records_are_waited_for_without_a_word_from_the_person() {
    let Some(stage) = Stage::set(0) else { return };
    let (sender, mut shown) = tokio::sync::mpsc::unbounded_channel();
    let manual = Manual::new(move |text| {
        let _ = sender.send(text.to_owned());
    });
    let person = async {
        let records = printed(&shown.recv().await.unwrap());
        assert_eq!(records.len(), 2, "one for the apex, one for the wildcard");
        assert_eq!(records[0].name, records[1].name);
        // One by one, as in a web console.
        let console = stage.updates(Knot::key());
        for record in &records {
            tokio::time::sleep(Duration::from_millis(300)).await;
            console.present(std::slice::from_ref(record)).await.unwrap();
        }
        records
    };
    let name = domain();
    let (issued, records) = tokio::join!(obtain(&stage, manual, &name), person);
    check(&issued.unwrap(), &name);
    assert_eq!(printed(&shown.recv().await.unwrap()), records, "what to remove");
}

#[tokio::test]
async fn what_the_ca_refuses_to_sign_is_told_in_its_words() {
    let Some(stage) = Stage::set(0) else { return };
    let error = obtain(&stage, stage.updates(Knot::key()), BLOCKED)
        .await
        .unwrap_err();
    assert_eq!(
        error.problem(),
        Some("rejectedIdentifier"),
        "{}",
        whole_text(&error)
    );
    assert!(whole_text(&error).contains(BLOCKED), "{}", whole_text(&error));
}

#[tokio::test]
async fn a_proof_that_the_ca_does_not_see_is_explained_and_taken_back() {
    let (Some(knot), Some(elsewhere)) = (Knot::start(""), Knot::start("")) else {
        return;
    };
    // The CA looks at another server than the one that is updated.
    let Some(pebble) = Pebble::start(elsewhere.address, 0) else {
        return;
    };
    let stage = Stage { knot, pebble };
    let error = obtain(&stage, stage.updates(Knot::key()), &domain())
        .await
        .unwrap_err();
    let text = whole_text(&error);
    assert!(
        matches!(&error, Error::Invalid { failures, .. } if !failures.is_empty()),
        "{text}"
    );
    assert!(text.contains(&domain()), "{text}");
    assert_eq!(stage.knot.challenges(&domain()), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_server_that_lags_keeps_the_ca_from_looking() {
    let (Some(stage), Some(late)) = (Stage::set(0), Knot::start("")) else {
        return;
    };
    let account = stage.account().await;
    let both = silica_acme::dns::Resolver::system(vec![stage.knot.address, late.address]);
    let wanted = Order {
        wait: Duration::from_secs(1),
        ..order(&domain())
    };
    let said = Mutex::new(Vec::new());
    let tell = |text: &str| said.lock().unwrap().push(text.to_owned());
    let provider = || Arc::new(stage.updates(Knot::key()));
    let error = issue(&account, &both, provider(), &wanted, &tell)
        .await
        .unwrap_err();
    let text = whole_text(&error);
    assert!(
        text.contains(&format!("{}: _acme-challenge", late.address)),
        "{text}"
    );
    assert!(
        !text.contains(&format!("{}: _acme-challenge", stage.knot.address)),
        "{text}"
    );
    assert!(
        said.lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("not seen everywhere"))
    );
    assert_eq!(stage.knot.challenges(&domain()), Vec::<String>::new());

    // Somebody gives up in the middle.
    let patient = order(&domain());
    let work = issue(&account, &both, provider(), &patient, &|_| {});
    assert!(tokio::time::timeout(Duration::from_secs(1), work).await.is_err());
    assert_eq!(stage.knot.challenges(&domain()), Vec::<String>::new());
}

#[tokio::test]
async fn a_challenge_that_is_an_alias_is_answered_where_it_leads() {
    let Some(knot) = Knot::start("_acme-challenge.delegated CNAME proof.elsewhere") else {
        return;
    };
    let Some(pebble) = Pebble::start(knot.address, 0) else {
        return;
    };
    let stage = Stage { knot, pebble };
    let name = format!("delegated.{ZONE}");
    let issued = obtain(&stage, stage.updates(Knot::key()), &name).await.unwrap();
    check(&issued, &name);
    assert_eq!(stage.knot.dig(&format!("proof.elsewhere.{ZONE}."), "TXT"), "");
}

#[tokio::test]
async fn an_unknown_ca_of_the_directory_is_no_ca() {
    let Some(stage) = Stage::set(0) else { return };
    let request = account::Request {
        roots: None,
        ..stage.request()
    };
    let refused = Account::create(&request, &stage.knot.resolver()).await;
    assert!(matches!(refused, Err(account::Error::Ca { .. })));
}
