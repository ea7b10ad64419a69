//! A rotation that the controllers make, and a person ends early.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use silica_api::names;

use crate::{
    bundle, chain, expect,
    fleet::{self, Fleet},
    harness::Harness,
    install, phase, rotate, verify_served,
};

/// A CA near its end is replaced by the controllers, one of which is killed in
/// the middle; the command line shows it and takes part.
pub(crate) async fn the_controller_goes_on_with_what_it_began(harness: &Harness, fleet: &mut Fleet) {
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
    expect(harness, &install(), 0, &[]);
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
    // The controller has its own pace, which others only tell.
    let output = rotate_when_free(harness, &["rotate-certs", "--ca"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the controller began it"), "{said}");
    let status = rotate(harness, &["status"]);
    assert_eq!(status["phase"], "switch");
    let moment = |text: &str| {
        let rfc3339 = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(text, rfc3339).unwrap()
    };
    let next = status["next"].as_str().unwrap();
    let end = next
        .strip_prefix("soak, not before ")
        .unwrap_or_else(|| panic!("{next}"));
    let soak = moment(end) - moment(status["since"].as_str().unwrap());
    assert_eq!(soak.whole_seconds(), 8);
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
fn rotate_when_free(harness: &Harness, args: &[&str]) -> Output {
    for _ in 0..50 {
        let output = harness.silica(args);
        if output.status.code() != Some(75) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the lock is never free");
}
