//! What a claim writes for an order.

use super::*;

fn order() -> Order {
    Order {
        team: "team-a".into(),
        timeout: Some(Timeout::new(30, 3600).unwrap()),
        on_timeout: OnTimeout::Kill,
        auto_resume: None,
        metadata: BTreeMap::from([("user".into(), "alice".into()), ("two words".into(), "1".into())]),
        extensions: Extensions::default(),
        env: BTreeMap::new(),
        secure: true,
        private_traffic: false,
        idempotency: None,
    }
}

fn claim(order: &Order, wait: u64) -> Claim {
    let key = TokenKey::new(&[7; 32]).unwrap();
    order.claim(&key, "default--a", Duration::from_secs(wait), Some("c1"))
}

#[test]
fn a_wait_does_not_count_as_life() {
    let left = |wait| {
        let claim = claim(&order(), wait);
        claim.deadline.unwrap().duration_since(claim.now).as_secs()
    };
    assert_eq!((left(0), left(40)), (30, 70));
    let far = claim(&order(), u64::MAX).deadline;
    assert_eq!(far, Some(Timestamp::MAX));
    let forever = Order {
        timeout: None,
        ..order()
    };
    assert_eq!(claim(&forever, 40).deadline, None);
}

#[test]
fn metadata_becomes_annotations_where_it_can() {
    let claim_of_order = claim(&order(), 0);
    let annotations = claim_of_order.annotations;
    assert_eq!(annotations["user"], "alice");
    assert!(!annotations.contains_key("two words"));
    assert_eq!(claim_of_order.initialised_container.as_deref(), Some("c1"));
}

#[test]
fn a_sandbox_whose_daemon_is_left_alone_says_so() {
    let mut order = order();
    order.extensions.skip_init_runtime = true;
    let claim = claim(&order, 0);
    assert!(claim.skip_init);
    assert_eq!(claim.initialised_container, None);
}

#[test]
fn an_idempotent_call_can_be_found_by_a_label() {
    assert!(claim(&order(), 0).labels.is_empty());
    let order = Order {
        idempotency: Some("f".repeat(64)),
        ..order()
    };
    let labels = claim(&order, 0).labels;
    assert_eq!(labels[labels::IDEMPOTENCY_LABEL], "f".repeat(40));
}

#[test]
fn both_waits_together_take_no_longer_than_an_sdk_waits_unless_asked_to() {
    let seconds = Duration::from_secs;
    let mut order = order();
    assert_eq!(order.wait_limit(seconds(0)), seconds(57));
    assert_eq!(order.wait_limit(seconds(50)), seconds(7));
    assert_eq!(order.wait_limit(seconds(100)), SHORTEST_WAIT);
    order.extensions.wait_ready_timeout = Some(seconds(300));
    assert_eq!(order.wait_limit(seconds(50)), seconds(300));
}
