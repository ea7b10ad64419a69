//! What a claim writes.

use silica_api::crd::{PodTemplate, SandboxSetSpec, SandboxSetStatus};

use super::*;

fn claim() -> Claim {
    Claim {
        owner: "team-a".into(),
        lock: "l1".into(),
        now: Timestamp::UNIX_EPOCH,
        deadline: Some(Timestamp::from_second(300).unwrap()),
        on_timeout: OnTimeout::Kill,
        auto_resume: None,
        metadata: BTreeMap::from([("user".into(), "alice".into())]),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        idempotency: None,
        sealed_env: None,
        initialised_container: None,
        skip_init: false,
        image: None,
        mounts: Mounts::default(),
        secure: true,
        private_traffic: false,
    }
}

#[test]
fn the_patch_is_guarded_by_identity_and_version() {
    let patch = claim().render_patch("u1", "42");
    assert_eq!(patch["metadata"]["uid"], "u1");
    assert_eq!(patch["metadata"]["resourceVersion"], "42");
    assert!(patch["metadata"]["ownerReferences"].is_null());
    assert_eq!(patch["metadata"]["labels"][labels::CLAIMED], "true");
    assert_eq!(
        patch["metadata"]["annotations"][labels::USER_METADATA],
        r#"{"user":"alice"}"#
    );
    assert_eq!(patch["spec"]["shutdownTime"], "1970-01-01T00:05:00.000Z");
    assert!(patch["metadata"]["annotations"].get(labels::SECURE).is_none());
}

#[test]
fn labels_and_annotations_of_others_never_replace_our_own() {
    let pairs = |key: &str| BTreeMap::from([(key.to_owned(), "x".to_owned()), ("tier".into(), "x".into())]);
    let claim = Claim {
        labels: pairs(labels::CLAIMED),
        annotations: pairs(labels::OWNER),
        ..claim()
    };
    let mut set = SandboxSet::new("code", SandboxSetSpec::default());
    set.metadata.namespace = Some("default".into());
    for object in [
        claim.render_patch("u1", "42"),
        claim.render_sandbox(&set, "code-abc12").unwrap(),
    ] {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"][labels::CLAIMED], "true");
        assert_eq!(metadata["annotations"][labels::OWNER], "team-a");
        assert_eq!(
            (&metadata["labels"]["tier"], &metadata["annotations"]["tier"]),
            (&json!("x"), &json!("x"))
        );
    }
}

#[test]
fn a_claim_without_deadline_says_so() {
    let patch = Claim {
        deadline: None,
        secure: false,
        ..claim()
    }
    .render_patch("u1", "42");
    assert!(patch["spec"]["shutdownTime"].is_null());
    assert_eq!(patch["metadata"]["annotations"][labels::NEVER_TIMEOUT], "true");
    assert_eq!(patch["metadata"]["annotations"][labels::SECURE], "false");
}

#[test]
fn an_image_is_part_of_the_one_write_and_absent_unless_asked_for() {
    let patch = claim().render_patch("u1", "42");
    assert!(patch["spec"].get("inplaceUpdate").is_none());
    let asking = Claim {
        image: Some("other:1".parse().unwrap()),
        ..claim()
    };
    let patch = asking.render_patch("u1", "42");
    assert_eq!(patch["spec"]["inplaceUpdate"], json!({"image": "other:1"}));
    let set = SandboxSet::new("code", SandboxSetSpec::default());
    let sandbox = asking.render_sandbox(&set, "code-abc12").unwrap();
    assert_eq!(sandbox["spec"]["inplaceUpdate"], json!({"image": "other:1"}));
}

#[test]
fn a_sandbox_that_pauses_at_its_timeout_has_no_end() {
    let patch = Claim {
        on_timeout: OnTimeout::Pause,
        ..claim()
    }
    .render_patch("u1", "42");
    assert_eq!(patch["spec"]["pauseTime"], "1970-01-01T00:05:00.000Z");
    assert!(patch["spec"]["shutdownTime"].is_null());
    assert_eq!(patch["metadata"]["annotations"][labels::ON_TIMEOUT], "pause");
}

#[test]
fn a_direct_sandbox_is_born_claimed_with_the_template_of_its_set() {
    let mut set = SandboxSet::new(
        "code",
        SandboxSetSpec {
            template: Some(PodTemplate(json!({"spec": {"x": 1}}))),
            ..SandboxSetSpec::default()
        },
    );
    set.metadata.namespace = Some("default".into());
    set.status = Some(SandboxSetStatus {
        update_revision: Some("h1".into()),
        ..SandboxSetStatus::default()
    });
    let sandbox = claim().render_sandbox(&set, "code-abc12").unwrap();
    assert_eq!(sandbox["metadata"]["labels"][labels::CLAIMED], "true");
    assert_eq!(sandbox["metadata"]["labels"][labels::TEMPLATE_HASH], "h1");
    assert_eq!(sandbox["spec"]["template"], json!({"spec": {"x": 1}}));
    assert_eq!(sandbox["spec"]["shutdownTime"], "1970-01-01T00:05:00.000Z");
    assert!(sandbox["spec"].get("replicas").is_none());
}

#[test]
fn volumes_are_mounted_by_a_sandbox_that_is_made_for_them() {
    let set = SandboxSet::new("code", SandboxSetSpec::default());
    let sandbox = claim().render_sandbox(&set, "code-abc12").unwrap();
    assert!(sandbox["spec"].get("volumeMounts").is_none());
    let asking = Claim {
        mounts: Mounts::parse(r#"[{"pvName": "data", "mountPath": "/data"}]"#).unwrap(),
        ..claim()
    };
    let sandbox = asking.render_sandbox(&set, "code-abc12").unwrap();
    let expected = json!([{"pvName": "data", "mountPath": "/data", "readOnly": false}]);
    assert_eq!(sandbox["spec"]["volumeMounts"], expected);
}
