//! SIGKILL after every phase: the next run ends as if nothing had happened.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    assert_same, expect,
    harness::{Harness, UNINSTALL},
    install, kinds,
};

/// Phases of an installation, as their progress lines name them. These come only
/// when there is nothing, so one kill follows the other.
const EARLY: [&str; 4] = ["Preflight", "Comparison", "Namespace", "Definitions"];
/// These come again after an uninstallation that keeps the definitions. Deleting
/// them stops the cluster's garbage collector for half a minute each time.
pub(crate) const LATE: [&str; 5] = ["Secrets", "Access rules", "Workloads", "Exposure", "Templates"];

/// What was written so far is found by the next run, which is killed one phase
/// later; the last one ends as if nothing had happened.
pub(crate) async fn killed_early(harness: &Harness, reference: &BTreeMap<String, Value>) {
    for phase in EARLY {
        let (came, said) = harness.kill_after(phase, &install());
        assert!(came, "no line of phase {phase:?} in:\n{said}");
    }
    expect(&harness.silica(&install()), 0, &[]);
    assert_same(&harness.state().await, reference, "killed early");
}

pub(crate) async fn killed_after(harness: &Harness, phase: &str, reference: &BTreeMap<String, Value>) {
    let (came, said) = harness.kill_after(phase, &install());
    assert!(came, "no line of phase {phase:?} in:\n{said}");
    let kept = harness.secrets().await;
    expect(&harness.silica(&install()), 0, &[]);
    assert_same(
        &harness.state().await,
        reference,
        &format!("killed after {phase}"),
    );
    let secrets = harness.secrets().await;
    for (name, data) in &kept {
        assert_eq!(
            secrets.get(name),
            Some(data),
            "{name} was made again after {phase}"
        );
    }
    println!("killed after {phase}: {} secrets kept", kept.len());
}

pub(crate) async fn killed_while_removing(harness: &Harness) {
    for phase in ["Installation", "Definitions"] {
        expect(&harness.silica(&install()), 0, &[]);
        let kinds = kinds(&harness.objects().await);
        let (came, said) = harness.kill_after(phase, &UNINSTALL);
        assert!(came, "no line of phase {phase:?} in:\n{said}");
        expect(&harness.silica(&UNINSTALL), 0, &[]);
        assert_eq!(harness.leftovers(&kinds).await, Vec::<String>::new());
        assert!(harness.namespace().await.is_none());
    }
}
