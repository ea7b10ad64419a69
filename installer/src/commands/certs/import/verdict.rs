//! Whether a certificate from elsewhere can be served, by the clocks of this machine and
//! of the cluster.

use silica_api::types::Domain;
use silica_certs::{
    import::{self as judgement, Finding, Outcome},
    verify,
};
use time::{Duration, OffsetDateTime};

use super::{Given, Measure};
use crate::{
    cli::error::Error,
    cluster::{
        Cluster,
        inventory::{Entry, Inventory},
    },
    commands::{
        certs::{error::Error as CertsError, inspect::system_roots},
        rotate_certs::installed_domains,
    },
    facts::clock,
};

/// Who ends the TLS connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Front {
    /// The manager alone.
    Manager,
    /// Somebody else's software, as well or alone.
    Other,
}

impl Front {
    fn of(inventory: &Inventory) -> Self {
        let is_front = |entry: &Entry| ["Ingress", "Gateway"].contains(&entry.kind.as_str());
        if inventory.objects.iter().any(is_front) {
            Self::Other
        } else {
            Self::Manager
        }
    }
}

/// A certificate that passed.
pub(super) struct Accepted {
    /// What the server sends.
    pub(super) chain: String,
    /// The root, when it is not a public one.
    pub(super) root: Option<String>,
    pub(super) warnings: Vec<String>,
    /// What each kind of client would say.
    pub(super) outcomes: Vec<Outcome>,
}

/// Judges the files for what is installed.
pub(super) async fn judge_for(
    cluster: &Cluster,
    given: &Given,
    inventory: &Inventory,
) -> Result<Accepted, Error> {
    let domains = installed_domains(inventory)?;
    let skew = Duration::seconds(clock::read(cluster).await?.unwrap_or_default());
    let judged = |now| judge(given, &domains, Front::of(inventory), &system_roots(), now);
    Ok(judge_by_both_clocks(judged, OffsetDateTime::now_utc(), skew)?)
}

/// Judges by this machine's clock and then by the cluster's, which is ahead of it by
/// the skew: clients may have either. Pure.
pub(super) fn judge_by_both_clocks(
    judged: impl Fn(OffsetDateTime) -> Result<Accepted, CertsError>,
    now: OffsetDateTime,
    skew: Duration,
) -> Result<Accepted, CertsError> {
    let accepted = judged(now)?;
    match judged(now.saturating_add(skew)) {
        Ok(_) => Ok(accepted),
        Err(CertsError::Refused {
            reasons,
            outcomes,
            is_input,
        }) => Err(CertsError::Refused {
            reasons: reasons
                .into_iter()
                .map(|reason| by_other_clock(&reason, skew))
                .collect(),
            outcomes,
            is_input,
        }),
        Err(error) => Err(error),
    }
}

fn by_other_clock(reason: &str, skew: Duration) -> String {
    let side = if skew.is_negative() { "behind" } else { "ahead of" };
    let seconds = skew.whole_seconds().unsigned_abs();
    format!("{reason}, by the cluster's clock, which is {seconds} s {side} this machine's")
}

/// Judges the files for apex and wildcard of the domains. Pure.
pub(super) fn judge(
    given: &Given,
    domains: &[Domain],
    front: Front,
    public_roots: &str,
    now: OffsetDateTime,
) -> Result<Accepted, CertsError> {
    let ordered = judgement::ordered(&given.chain)?;
    // Without a CA of its own, the root that came along is the measure.
    let with_root = format!(
        "{}{}",
        ordered.served,
        ordered.root.as_deref().unwrap_or_default()
    );
    let roots = match &given.measure {
        Measure::Public => Some(public_roots),
        Measure::Given(roots) => Some(roots.as_str()),
        Measure::Any => None,
    };
    let review = judgement::review(&with_root, given.key.expose(), domains, roots, now);
    let is_refusal = |finding: &Finding| {
        // The manager itself serves it well.
        finding.is_refusal() || (*finding == Finding::Ed25519 && front == Front::Other)
    };
    let (refusals, notices): (Vec<_>, Vec<_>) =
        review.findings.iter().partition(|finding| is_refusal(finding));
    let outcomes = review.outcomes();
    if !refusals.is_empty() {
        return Err(CertsError::Refused {
            reasons: refusals
                .iter()
                .map(|finding| told(finding, &given.measure))
                .collect(),
            outcomes,
            is_input: false,
        });
    }
    let is_public = domains
        .iter()
        .all(|domain| verify::chain(&ordered.served, public_roots, domain.as_ref(), now).is_ok());
    let mut warnings: Vec<String> = notices
        .into_iter()
        // It is taken care of: the root is left out.
        .filter(|finding| !matches!(finding, Finding::RootIncluded))
        .map(ToString::to_string)
        .collect();
    if ordered.was_changed {
        warnings.push("the chain was put in order, from the server's certificate upwards".to_owned());
    }
    if !is_public {
        warnings.push("no CA of this machine has issued it; clients must be given its CA".to_owned());
    }
    Ok(Accepted {
        chain: ordered.served,
        root: match &given.measure {
            Measure::Given(ca) => Some(ca.clone()),
            Measure::Public | Measure::Any => ordered.root,
        }
        .filter(|_| !is_public),
        outcomes,
        warnings,
    })
}

/// The finding, with the way out for a CA that is not public.
fn told(finding: &Finding, measure: &Measure) -> String {
    let is_about_roots = matches!(finding, Finding::RootUnknown { .. } | Finding::Incomplete { .. });
    if is_about_roots && *measure == Measure::Public {
        format!(
            "{finding}; if its CA is not a public one, name the CA with --ca FILE \
             (or, without any proof of it, --allow-unknown-ca)"
        )
    } else {
        finding.to_string()
    }
}
