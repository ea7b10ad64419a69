//! An official certificate that is due is ordered again. What was ordered is kept
//! until it is due itself: a write that failed, or somebody who puts the former
//! certificate back, costs no second order.

use silica_certs::whole_text;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{Keeper, tell::date};
use crate::renewal::{
    apply,
    official::{self, Official, Ordered},
};

/// What was ordered last.
pub(super) struct LastOrder {
    domains: Vec<String>,
    ordered: Ordered,
}

impl Keeper<'_> {
    /// What an order over ACME takes, when it can be placed without a person.
    pub(super) fn official(&mut self) -> Option<Official> {
        let secret = self.sight.official()?.clone();
        match official::read(&secret) {
            Ok(official) => official,
            Err(error) => {
                self.tell(&secret, "AcmeUnusable", whole_text(&error));
                None
            }
        }
    }

    /// One that was ordered for these domains and is not due itself.
    pub(super) fn ordered_before(&self, domains: &[String], now: OffsetDateTime) -> Option<&Ordered> {
        let last = self.last_order.as_ref()?;
        let is_good = last.domains == domains && now < last.ordered.leaf.renewal_due();
        is_good.then_some(&last.ordered)
    }

    /// Orders for the domains, and serves what was ordered.
    pub(super) async fn order(
        &mut self,
        official: &Official,
        domains: &[String],
        now: OffsetDateTime,
    ) -> Result<(), apply::Error> {
        let Some(secret) = self.sight.leaf().cloned() else {
            return Ok(());
        };
        let client = &self.context.client;
        if self.ordered_before(domains, now).is_none() {
            // By a clock that is wrong it may not be due at all.
            apply::verify_clock(client, now).await?;
            tracing::info!(
                directory = official.directory(),
                ?domains,
                "ordering a certificate"
            );
            let start = Instant::now();
            let issued = official::order(official, domains).await.map_err(Box::new)?;
            let root = official::read_root(&secret);
            // An order takes a while, and not every CA dates back.
            let now = now + start.elapsed();
            let ordered = official::judge(&issued, domains, root, now).map_err(Box::new)?;
            self.reorder.forgive();
            self.last_order = Some(LastOrder {
                domains: domains.to_vec(),
                ordered,
            });
        }
        let Some(ordered) = self.ordered_before(domains, now) else {
            return Ok(());
        };
        apply::write_ordered(client, &secret, ordered).await?;
        let not_after = ordered.leaf.not_after;
        let (end, fingerprint) = (date(not_after), ordered.leaf.fingerprint.clone());
        let directory = official.directory();
        tracing::info!(fingerprint, end, directory, "served certificate renewed");
        let note = format!("renewed at {directory}; valid until {end}, SHA-256 {fingerprint}");
        self.conclude_renewal(&secret, not_after, &note);
        Ok(())
    }
}
