//! Counters of the controller and their Prometheus text form.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use kube::ResourceExt;
use silica_api::labels;

use crate::cache::Caches;

/// One number that many tasks change.
#[derive(Debug, Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) leading: Number,
    pub(crate) sandbox_reconciles: Number,
    pub(crate) sandbox_reconcile_errors: Number,
    pub(crate) set_reconciles: Number,
    pub(crate) set_reconcile_errors: Number,
    pub(crate) claim_reconciles: Number,
    pub(crate) claim_reconcile_errors: Number,
    pub(crate) pods_created: Number,
    pub(crate) pool_sandboxes_created: Number,
    pub(crate) pool_sandboxes_scaled_down: Number,
    pub(crate) pool_sandboxes_replaced: Number,
    pub(crate) pool_sandboxes_failed: Number,
    pub(crate) sandboxes_expired: Number,
    pub(crate) claims_fulfilled: Number,
    pub(crate) claims_unfulfilled: Number,
    pub(crate) claims_expired: Number,
    pub(crate) claim_conflicts: Number,
    pub(crate) claim_sandboxes_taken: Number,
    pub(crate) claim_sandboxes_made: Number,
    pub(crate) claim_sandboxes_failed: Number,
    pub(crate) events_dropped: Number,
    /// Ends of the certificates in seconds since 1970; 0 while not known.
    pub(crate) leaf_not_after: Number,
    pub(crate) authority_not_after: Number,
    pub(crate) next_authority_not_after: Number,
    /// Phase of a rotation of the CA that is done last, counted from 1; 0 without one.
    pub(crate) rotation_phase: Number,
    pub(crate) rotations: Number,
    pub(crate) rotation_failures: Number,
    pub(crate) renewals: Number,
    pub(crate) renewal_failures: Number,
}

/// Renders the counters, and gauges taken from the caches.
pub(crate) fn render(metrics: &Metrics, caches: Option<&Caches>) -> String {
    let mut page = Page::default();
    page.gauge(
        "silica_controller_leading",
        "1 while this process holds the Lease.",
        [(vec![], metrics.leading.get())],
    );
    let kinds = |sandbox: &Number, set: &Number, claim: &Number| {
        [("Sandbox", sandbox), ("SandboxSet", set), ("SandboxClaim", claim)]
            .map(|(kind, number)| (vec![("kind", kind.to_owned())], number.get()))
    };
    page.counter(
        "silica_controller_reconciles_total",
        "Reconciliations.",
        kinds(
            &metrics.sandbox_reconciles,
            &metrics.set_reconciles,
            &metrics.claim_reconciles,
        ),
    );
    page.counter(
        "silica_controller_reconcile_errors_total",
        "Reconciliations that failed and are tried again.",
        kinds(
            &metrics.sandbox_reconcile_errors,
            &metrics.set_reconcile_errors,
            &metrics.claim_reconcile_errors,
        ),
    );
    page.counter(
        "sandbox_pods_created_total",
        "Pods made for Sandboxes.",
        [(vec![], metrics.pods_created.get())],
    );
    page.counter(
        "sandboxset_sandboxes_created_total",
        "Sandboxes made for pools.",
        [(vec![], metrics.pool_sandboxes_created.get())],
    );
    let removed = [
        ("scale-down", &metrics.pool_sandboxes_scaled_down),
        ("update", &metrics.pool_sandboxes_replaced),
        ("failed", &metrics.pool_sandboxes_failed),
    ];
    page.counter(
        "sandboxset_sandboxes_removed_total",
        "Unclaimed sandboxes taken out of pools.",
        removed.map(|(reason, number)| (vec![("reason", reason.to_owned())], number.get())),
    );
    page.counter(
        "sandbox_expired_total",
        "Sandboxes deleted at their shutdown time.",
        [(vec![], metrics.sandboxes_expired.get())],
    );
    page.counter(
        "silica_controller_events_dropped_total",
        "Kubernetes Events not written because there were too many.",
        [(vec![], metrics.events_dropped.get())],
    );
    render_claims(&mut page, metrics);
    render_certificates(&mut page, metrics);
    render_rotation(&mut page, metrics);
    if let Some(caches) = caches {
        render_caches(&mut page, caches);
    }
    page.0
}

fn render_claims(page: &mut Page, metrics: &Metrics) {
    let labelled = |key: &'static str, numbers: [(&str, &Number); 2]| {
        numbers.map(|(value, number)| (vec![(key, value.to_owned())], number.get()))
    };
    page.counter(
        "sandboxclaim_sandboxes_total",
        "Sandboxes that SandboxClaims took out of a pool or had made.",
        labelled(
            "from",
            [
                ("pool", &metrics.claim_sandboxes_taken),
                ("template", &metrics.claim_sandboxes_made),
            ],
        ),
    );
    page.counter(
        "sandboxclaim_completed_total",
        "SandboxClaims that came to an end, with all that they asked for or without.",
        labelled(
            "fulfilled",
            [
                ("true", &metrics.claims_fulfilled),
                ("false", &metrics.claims_unfulfilled),
            ],
        ),
    );
    for (name, help, number) in [
        (
            "sandboxclaim_sandboxes_failed_total",
            "Claimed sandboxes that did not become ready.",
            &metrics.claim_sandboxes_failed,
        ),
        (
            "sandboxclaim_conflicts_total",
            "Claims that another replica won.",
            &metrics.claim_conflicts,
        ),
        (
            "sandboxclaim_expired_total",
            "Completed SandboxClaims that were deleted at their time.",
            &metrics.claims_expired,
        ),
    ] {
        page.counter(name, help, [(vec![], number.get())]);
    }
}

fn render_certificates(page: &mut Page, metrics: &Metrics) {
    let ends = [
        ("leaf", &metrics.leaf_not_after),
        ("ca", &metrics.authority_not_after),
        ("next-ca", &metrics.next_authority_not_after),
    ];
    // A standby does not look at them, and an absent line raises no alarm.
    let known = |end: &Number| metrics.leading.get() == 1 && end.get() != 0;
    page.gauge(
        "silica_certificate_not_after_seconds",
        "End of the certificate, in seconds since 1970.",
        ends.into_iter()
            .filter(|(_, end)| known(end))
            .map(|(name, end)| (vec![("certificate", name.to_owned())], end.get())),
    );
    page.counter(
        "silica_certificate_renewals_total",
        "Served certificates that were renewed.",
        [(vec![], metrics.renewals.get())],
    );
    page.counter(
        "silica_certificate_renewal_failures_total",
        "Renewals, and additions to the trust bundle, that failed and are tried again.",
        [(vec![], metrics.renewal_failures.get())],
    );
}

fn render_rotation(page: &mut Page, metrics: &Metrics) {
    let phase = (metrics.leading.get() == 1).then(|| (vec![], metrics.rotation_phase.get()));
    page.gauge(
        "silica_ca_rotation_phase",
        "Replacement of the CA: 0 none, 1 prepared, 2 spread, 3 switched, 4 soaked.",
        phase,
    );
    page.counter(
        "silica_ca_rotations_total",
        "CAs that the controller replaced, up to the retirement of the former one.",
        [(vec![], metrics.rotations.get())],
    );
    page.counter(
        "silica_ca_rotation_failures_total",
        "Steps of a replacement of the CA that failed and are tried again.",
        [(vec![], metrics.rotation_failures.get())],
    );
}

fn render_caches(page: &mut Page, caches: &Caches) {
    let mut phases: BTreeMap<(String, String), u64> = BTreeMap::new();
    for sandbox in caches.sandboxes.state() {
        let phase = sandbox.status.as_ref().and_then(|status| status.phase);
        let phase = phase.map_or_else(|| "Unknown".to_owned(), |phase| format!("{phase:?}"));
        let claimed = sandbox
            .labels()
            .get(labels::CLAIMED)
            .map_or("true", String::as_str)
            .to_owned();
        *phases.entry((phase, claimed)).or_default() += 1;
    }
    page.gauge(
        "sandbox_count",
        "Sandboxes by phase.",
        phases
            .into_iter()
            .map(|((phase, claimed), count)| (vec![("phase", phase), ("claimed", claimed)], count)),
    );
    render_cached_claims(page, caches);
    let sets = caches.sets.state();
    let per_set = |value: &dyn Fn(&silica_api::crd::SandboxSet) -> i32| {
        let mut lines: Vec<_> = sets
            .iter()
            .map(|set| {
                let identity = vec![
                    ("namespace", set.namespace().unwrap_or_default()),
                    ("name", set.name_any()),
                ];
                (identity, u64::try_from(value(set)).unwrap_or(0))
            })
            .collect();
        lines.sort();
        lines
    };
    page.gauge(
        "sandboxset_desired_replicas",
        "Wanted unused sandboxes.",
        per_set(&|set| set.spec.replicas),
    );
    page.gauge(
        "sandboxset_replicas",
        "Unused sandboxes, in creation or available.",
        per_set(&|set| set.status.as_ref().map_or(0, |status| status.replicas)),
    );
    page.gauge(
        "sandboxset_available_replicas",
        "Sandboxes that can be claimed now.",
        per_set(&|set| set.status.as_ref().map_or(0, |status| status.available_replicas)),
    );
}

fn render_cached_claims(page: &mut Page, caches: &Caches) {
    let claims = caches.claims.state();
    let mut phases: BTreeMap<String, u64> = BTreeMap::new();
    for claim in &claims {
        let phase = claim.status.as_ref().and_then(|status| status.phase);
        let phase = phase.map_or_else(|| "Unknown".to_owned(), |phase| format!("{phase:?}"));
        *phases.entry(phase).or_default() += 1;
    }
    page.gauge(
        "sandbox_claim_count",
        "SandboxClaims by phase.",
        phases
            .into_iter()
            .map(|(phase, count)| (vec![("phase", phase)], count)),
    );
    let per_claim = |value: &dyn Fn(&silica_api::crd::SandboxClaim) -> i32| {
        let line = |claim: &std::sync::Arc<silica_api::crd::SandboxClaim>| {
            let identity = vec![
                ("namespace", claim.namespace().unwrap_or_default()),
                ("name", claim.name_any()),
            ];
            (identity, u64::try_from(value(claim)).unwrap_or(0))
        };
        let mut lines: Vec<_> = claims.iter().map(line).collect();
        lines.sort();
        lines
    };
    page.gauge(
        "sandbox_claim_desired_replicas",
        "Sandboxes that a SandboxClaim asks for.",
        per_claim(&|claim| claim.spec.replicas),
    );
    page.gauge(
        "sandbox_claim_claimed_replicas",
        "Sandboxes that it got.",
        per_claim(&|claim| claim.status.as_ref().map_or(0, |status| status.claimed_replicas)),
    );
}

/// A page in the Prometheus text format.
#[derive(Default)]
struct Page(String);

impl Page {
    fn counter(&mut self, name: &str, help: &str, lines: impl IntoIterator<Item = Line>) {
        self.family(name, "counter", help, lines);
    }

    fn gauge(&mut self, name: &str, help: &str, lines: impl IntoIterator<Item = Line>) {
        self.family(name, "gauge", help, lines);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, lines: impl IntoIterator<Item = Line>) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in lines {
            let labels: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}=\"{}\"", escape(value)))
                .collect();
            if labels.is_empty() {
                self.write(format_args!("{name} {value}\n"));
            } else {
                self.write(format_args!("{name}{{{}}} {value}\n", labels.join(",")));
            }
        }
    }

    fn write(&mut self, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{text}");
    }
}

type Line = (Vec<(&'static str, String)>, u64);

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_has_help_type_and_labels() {
        let metrics = Metrics::default();
        metrics.pool_sandboxes_failed.increment();
        let text = render(&metrics, None);
        assert!(text.contains("# TYPE sandboxset_sandboxes_removed_total counter\n"));
        assert!(text.contains("sandboxset_sandboxes_removed_total{reason=\"failed\"} 1\n"));
        assert!(text.contains("sandboxclaim_completed_total{fulfilled=\"true\"} 0\n"));
    }

    #[test]
    fn ends_of_certificates_are_shown_by_the_leader_once_known() {
        let metrics = Metrics::default();
        metrics.leaf_not_after.set(1_800_000_000);
        let shown = |certificate: &str| {
            let line =
                format!("silica_certificate_not_after_seconds{{certificate=\"{certificate}\"}} 1800000000\n");
            render(&metrics, None).contains(&line)
        };
        assert!(!shown("leaf"));
        metrics.leading.set(1);
        assert!(shown("leaf") && !shown("ca"));
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
