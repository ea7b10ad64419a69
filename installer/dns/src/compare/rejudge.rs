//! Verdicts of one view in the light of the others: a wildcard that is only hidden, and a
//! cache that is only behind. Pure.

use std::collections::BTreeSet;

use crate::probe::Purpose;
use crate::report::{ProbeReport, ViewReport};
use crate::verdict::{Missing, Verdict};
use crate::view::ViewKind;

/// Judges names again in the light of the others: a wildcard that is only hidden,
/// and a cache that is only behind.
pub(crate) fn settle(views: &mut [ViewReport]) {
    for view in views.iter_mut() {
        unhide(view);
    }
    let truth = truth(views);
    for view in views.iter_mut() {
        if view.view.is_cached() {
            for name in 0..view.names.len() {
                if truth.contains(&view.names[name].name) {
                    let verdict = behind(&view.names, name);
                    if let Some(verdict) = verdict {
                        view.names[name].rejudge(verdict);
                    }
                }
            }
        }
        view.settle();
    }
}

/// A name without address beside a wildcard that answers is hidden.
fn unhide(view: &mut ViewReport) {
    let answers = view
        .names
        .iter()
        .any(|name| name.purpose == Purpose::Wildcard && name.ok);
    let nodata = Verdict::MissingWildcard {
        kind: Missing::NoData,
    };
    for name in view.names.iter_mut().filter(|name| name.verdict == nodata) {
        if answers && name.purpose != Purpose::Wildcard {
            name.rejudge(Verdict::HiddenWildcard);
        }
    }
}

/// The names that all name servers of the zone have right.
fn truth(views: &[ViewReport]) -> BTreeSet<String> {
    let servers = || {
        let of_zone = views.iter().filter(|view| view.view == ViewKind::Authoritative);
        of_zone.filter(|view| view.absent.is_none())
    };
    let Some(first) = servers().next() else {
        return BTreeSet::new();
    };
    let right = |name: &&ProbeReport| {
        servers().all(|view| view.names.iter().any(|one| one.name == name.name && one.ok))
    };
    let names = first.names.iter().filter(right);
    names.map(|name| name.name.clone()).collect()
}

/// The verdict over a cache that contradicts the zone's servers. The random name
/// was never asked for before, so no cache holds an address for it: a resolver
/// that leads it elsewhere, without an alias in between, has another zone.
fn behind(names: &[ProbeReport], at: usize) -> Option<Verdict> {
    let has_other_zone = names.iter().any(|name| {
        name.purpose == Purpose::Wildcard
            && name.chain.is_empty()
            && matches!(name.verdict, Verdict::WrongAddress { .. })
    });
    if has_other_zone {
        return None;
    }
    let name = &names[at];
    let found = match &name.verdict {
        Verdict::WrongAddress { found } => found.clone(),
        verdict if verdict.is_missing() => Vec::new(),
        Verdict::CnameElsewhere { .. } => Vec::new(),
        _ => return None,
    };
    Some(Verdict::Stale {
        found,
        seconds: name.ttl,
    })
}
