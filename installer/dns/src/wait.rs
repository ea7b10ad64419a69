//! Waits until DNS is right.
//!
//! As long as the zone's own servers are wrong, no resolver is asked: it would
//! remember that there is nothing, and be wrong for longer than need be
//! (RFC 2308). Once they are right, the rest is a matter of lifetimes that the
//! answers tell, so nothing is asked before it can have changed.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::check::{Error, Request, verify};
use crate::probe::is_localhost;
use crate::report::Report;
use crate::verdict::Verdict;
use crate::view::ViewKind;
use crate::view::cluster::ClusterDns;

const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Upper limit between looks at the zone: somebody may be creating the record.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Upper limit of waiting for a cache: it may be flushed before its time.
const CACHE_PAUSE_MAX: Duration = Duration::from_mins(1);

/// How far DNS is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Views that are right.
    pub right: Vec<String>,
    /// The others, each with what is wrong.
    pub wrong: Vec<(String, String)>,
    /// How long nothing is asked now.
    pub pause: Duration,
}

/// Checks until all is right or the time is up, and returns the last report.
pub async fn wait(
    request: &Request,
    cluster_dns: Option<&dyn ClusterDns>,
    deadline: Instant,
    mut tell: impl FnMut(&Progress),
) -> Result<Report, Error> {
    // The last look shall be a whole one.
    let last_look = deadline.checked_sub(request.timeout).unwrap_or(deadline);
    let zone_only = Request {
        views: [ViewKind::Authoritative].into(),
        ..request.clone()
    };
    let has_zone = request.views.contains(&ViewKind::Authoritative) && !is_localhost(&request.domain);
    let mut rounds = 0;
    let mut is_zone_right = !has_zone;
    loop {
        if Instant::now() >= last_look {
            return verify(request, cluster_dns).await;
        }
        if !is_zone_right {
            let report = verify(&zone_only, None).await?;
            let mut views = report.of(ViewKind::Authoritative);
            // Without an answer from the zone the caches are all there is.
            is_zone_right = report.ok || views.all(|view| view.absent.is_some());
            if !is_zone_right {
                let progress = progress(&report, rounds);
                tell(&progress);
                sleep_at_most(progress.pause, last_look).await;
                rounds += 1;
                continue;
            }
            rounds = 0;
        }
        let report = verify(request, cluster_dns).await?;
        if report.ok {
            return Ok(report);
        }
        let progress = progress(&report, rounds);
        tell(&progress);
        sleep_at_most(progress.pause, last_look).await;
        rounds += 1;
        // A zone may become wrong again.
        is_zone_right = !has_zone;
    }
}

async fn sleep_at_most(pause: Duration, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    sleep(pause.min(left)).await;
}

fn progress(report: &Report, rounds: u32) -> Progress {
    let mut right = Vec::new();
    let mut wrong = Vec::new();
    for view in report.views.iter().filter(|view| view.decides) {
        match view.names.iter().find(|name| !name.ok) {
            Some(name) => wrong.push((view.title(), name.to_string())),
            None if view.absent.is_none() => right.push(view.title()),
            None => {}
        }
    }
    Progress {
        right,
        wrong,
        pause: pause(report, rounds),
    }
}

/// Until something can have changed: the end of the shortest life among stale
/// answers, or a growing pause where no life is known.
fn pause(report: &Report, rounds: u32) -> Duration {
    let growing = PAUSE_MIN
        .saturating_mul(2_u32.saturating_pow(rounds))
        .min(PAUSE_MAX);
    let deciding: Vec<&Verdict> = report
        .names()
        .filter(|(view, name)| view.decides && !name.ok)
        .map(|(_, name)| &name.verdict)
        .collect();
    let lives: Option<Vec<u32>> = deciding
        .iter()
        .map(|verdict| match verdict {
            Verdict::Stale { seconds, .. } => *seconds,
            _ => None,
        })
        .collect();
    match lives.and_then(|lives| lives.into_iter().min()) {
        // A second more, since lifetimes are told in whole seconds.
        Some(seconds) => Duration::from_secs(u64::from(seconds) + 1).clamp(PAUSE_MIN, CACHE_PAUSE_MAX),
        None => growing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Purpose;
    use crate::report::{ProbeReport, SCHEMA, ViewReport};

    fn report(verdicts: Vec<Verdict>) -> Report {
        let names = verdicts.into_iter().map(|verdict| ProbeReport {
            name: "x.test".into(),
            purpose: Purpose::Apex,
            chain: Vec::new(),
            addresses: Vec::new(),
            ttl: None,
            ok: verdict.is_ok(),
            message: verdict.to_string(),
            verdict,
        });
        Report {
            schema: SCHEMA,
            domain: "x.test".into(),
            expected: Vec::new(),
            zone: None,
            views: vec![ViewReport {
                view: ViewKind::System,
                source: "192.0.2.53".into(),
                decides: true,
                ok: Some(false),
                absent: None,
                serial: None,
                names: names.collect(),
            }],
            findings: Vec::new(),
            caa: None,
            ok: false,
            records: Vec::new(),
        }
    }

    fn stale(seconds: u32) -> Verdict {
        Verdict::Stale {
            found: Vec::new(),
            seconds: Some(seconds),
        }
    }

    #[test]
    fn a_cache_is_asked_again_when_its_knowledge_has_ended() {
        assert_eq!(
            pause(&report(vec![stale(30), stale(9)]), 5),
            Duration::from_secs(10)
        );
        assert_eq!(pause(&report(vec![stale(86_400)]), 0), CACHE_PAUSE_MAX);
    }

    #[test]
    fn what_has_no_known_life_is_asked_ever_more_rarely() {
        let refused = |rounds| pause(&report(vec![stale(30), Verdict::Refused]), rounds);
        assert_eq!((refused(0), refused(2)), (PAUSE_MIN, Duration::from_secs(4)));
        assert_eq!(refused(40), PAUSE_MAX);
    }

    #[test]
    fn progress_names_who_is_behind() {
        let progress = progress(&report(vec![Verdict::Matches, stale(9)]), 0);
        assert!(progress.right.is_empty());
        assert_eq!(progress.wrong[0].0, "this machine 192.0.2.53");
        assert!(progress.wrong[0].1.contains("9 s"), "{progress:?}");
    }
}
