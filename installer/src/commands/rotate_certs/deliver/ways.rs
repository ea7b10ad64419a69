//! The ways by which a certificate can be seen in service.

use futures::future::join_all;
use silica_api::types::Domain;

use super::served;
use crate::{
    cli::error::Error,
    cluster::Cluster,
    exposure::address::{Addresses, Route},
};

/// The ways in, and how far they got. What decides here is pure.
#[derive(Debug, Default)]
pub struct Ways {
    /// Those that do not serve it yet.
    pub(super) pending: Vec<Route>,
    /// Those that do.
    pub(super) seen: Vec<Route>,
    /// Those that did not answer at the beginning, so that nobody waits for them.
    pub(super) skipped: Vec<Route>,
    /// Which of all these lead to one pod, and go with it.
    of_pods: Vec<Route>,
}

impl Ways {
    /// Every address that answers now, and every pod of the manager that does; an error
    /// when there is none.
    pub async fn find(cluster: &Cluster, domains: &[Domain]) -> Result<Self, Error> {
        let addresses = Addresses::read(cluster).await?;
        let of_pods = addresses.pod_routes();
        let mut all = addresses.routes();
        all.retain(|route| matches!(route, Route::Tcp { .. }));
        for route in &of_pods {
            if !all.contains(route) {
                all.push(route.clone());
            }
        }
        let answers = join_all(all.iter().map(|route| served(cluster, domains, route))).await;
        let mut ways = Self {
            of_pods,
            ..Self::default()
        };
        for (route, answer) in all.into_iter().zip(answers) {
            match answer {
                Some(_) => ways.pending.push(route),
                None => ways.skipped.push(route),
            }
        }
        if ways.pending.is_empty() {
            return Err(Error::Unseen {
                routes: ways.skipped.iter().map(ToString::to_string).collect(),
            });
        }
        Ok(ways)
    }

    /// This one serves it.
    pub(super) fn note_seen(&mut self, route: &Route) {
        if let Some(at) = self.pending.iter().position(|one| one == route) {
            self.seen.push(self.pending.remove(at));
        }
    }

    /// Whether nobody has to be waited for; never before somebody has served it.
    pub(super) fn are_all_seen(&self) -> bool {
        self.pending.is_empty() && !self.seen.is_empty()
    }

    /// Takes in which pods are ready now: those that are not are given up, and
    /// returned. Others take their place only where nothing else is left to look at.
    pub(super) fn refresh(&mut self, ready: &[Route]) -> Vec<Route> {
        let is_gone = |route: &Route| self.of_pods.contains(route) && !ready.contains(route);
        let (gone, pending) = self.pending.drain(..).partition(is_gone);
        self.pending = pending;
        if self.pending.is_empty() && self.seen.is_empty() {
            let new = ready.iter().filter(|route| !self.skipped.contains(route));
            self.pending = new.cloned().collect();
            self.of_pods = ready.to_vec();
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Route {
        Route::Forward { pod: name.into() }
    }

    fn outside() -> Route {
        Route::Tcp {
            host: "192.0.2.1".into(),
            port: 443,
        }
    }

    fn ways(pods: &[&str]) -> Ways {
        let of_pods: Vec<Route> = pods.iter().map(|name| pod(name)).collect();
        Ways {
            pending: of_pods.clone(),
            of_pods,
            ..Ways::default()
        }
    }

    #[test]
    fn a_pod_that_goes_away_is_not_waited_for() {
        let mut ways = ways(&["a", "b"]);
        ways.pending.push(outside());
        ways.note_seen(&pod("a"));
        assert!(!ways.are_all_seen());
        // What is in its place starts with the new certificate.
        assert_eq!(ways.refresh(&[pod("a"), pod("c")]), [pod("b")]);
        assert_eq!(ways.pending, [outside()]);
        ways.note_seen(&outside());
        assert!(ways.are_all_seen());
        assert_eq!(ways.seen, [pod("a"), outside()]);
    }

    #[test]
    fn an_address_is_waited_for_whatever_the_pods_do() {
        let mut ways = ways(&[]);
        ways.pending.push(outside());
        assert_eq!(ways.refresh(&[]), []);
        assert_eq!(ways.pending, [outside()]);
    }

    #[test]
    fn with_all_pods_gone_nothing_is_seen_until_another_one_serves() {
        let mut ways = ways(&["a"]);
        ways.skipped = vec![pod("unreachable")];
        ways.refresh(&[pod("unreachable")]);
        assert!(ways.pending.is_empty() && !ways.are_all_seen());
        ways.refresh(&[pod("unreachable"), pod("b")]);
        assert_eq!(ways.pending, [pod("b")]);
        // This one may go, too.
        ways.refresh(&[pod("c")]);
        ways.note_seen(&pod("c"));
        assert!(ways.are_all_seen());
    }
}
