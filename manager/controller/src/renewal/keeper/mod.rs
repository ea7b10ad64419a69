//! One look at the certificates: what is due is done, what somebody has to
//! know is told.
//!
//! `leaf` is about the served certificate, `official` about one that a CA
//! elsewhere signs, `authority` about our own CA, `tell` about people.

mod authority;
mod leaf;
mod official;
mod tell;

use std::{collections::BTreeMap, time::Duration};

use silica_certs::{
    authority::Authority,
    rotation::{Phase, record::Record},
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    decide::{self, Found, Verdict},
    observe::{self, Change, Sight},
    reorder::Reorder,
    schedule::{self, Pace},
};
use crate::{config::Config, context::Context};
use official::LastOrder;
use tell::seconds;

/// A warning that still holds is repeated after this time.
const REPEAT: Duration = Duration::from_hours(24);

/// What is remembered between two looks.
pub(super) struct Keeper<'a> {
    context: &'a Context,
    config: &'a Config,
    sight: Sight,
    /// In a row.
    failures: u32,
    /// The same, of the CA's replacement.
    rotation_failures: u32,
    pace: Pace,
    /// Of official certificates.
    reorder: Reorder,
    last_order: Option<LastOrder>,
    /// Warnings by reason, with the moment of the last one.
    told: BTreeMap<&'static str, (String, Instant)>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(context: &'a Context, config: &'a Config) -> Self {
        let metrics = &context.metrics;
        // Of an earlier term, perhaps of other certificates.
        for number in [
            &metrics.leaf_not_after,
            &metrics.authority_not_after,
            &metrics.next_authority_not_after,
            &metrics.rotation_phase,
        ] {
            number.set(0);
        }
        Self {
            context,
            config,
            sight: Sight::default(),
            failures: 0,
            rotation_failures: 0,
            pace: Pace::default(),
            reorder: Reorder::default(),
            last_order: None,
            told: BTreeMap::new(),
        }
    }

    /// Takes a change in; says whether it was one.
    pub(super) fn note(&mut self, change: Change) -> bool {
        let is_about_orders = matches!(change, Change::Official(_));
        let is_news = self.sight.note(change);
        if is_news && is_about_orders {
            self.reorder.forgive();
        }
        is_news
    }

    /// Does what is due now; returns the time until the next look.
    pub(super) async fn look(&mut self, now: OffsetDateTime) -> Duration {
        if !self.sight.is_complete() {
            return schedule::LONGEST_SLEEP;
        }
        let authority = self.authority();
        let next = self.next_authority();
        let official = self.official();
        let leaf = self.sight.leaf().cloned();
        let bundle = self.sight.bundle().cloned();
        let found = Found {
            leaf: leaf.as_ref().map(observe::read_leaf),
            authority: authority.as_ref(),
            next: next.as_ref(),
            bundle: bundle.as_ref().map(observe::read_bundle),
            can_order: official.is_some(),
        };
        let verdict = decide::decide(&found, now);
        self.show(&verdict, authority.as_ref(), next.as_ref());
        let until_leaf = self.look_at_leaf(&found, &verdict, official.as_ref(), now).await;
        let until_authority = match found.authority {
            Some(authority) => self.look_at_authority(&found, authority, &verdict, now).await,
            None => schedule::LONGEST_SLEEP,
        };
        until_leaf.min(until_authority)
    }

    fn show(&self, verdict: &Verdict, authority: Option<&Authority>, next: Option<&(Authority, Record)>) {
        let metrics = &self.context.metrics;
        let end = |authority: &Authority| authority.inspected().not_after;
        metrics.leaf_not_after.set(seconds(verdict.not_after()));
        metrics.authority_not_after.set(seconds(authority.map(end)));
        let next_end = next.map(|(next, _)| end(next));
        metrics.next_authority_not_after.set(seconds(next_end));
        let done = next.and_then(|(_, record)| record.state.done);
        let position = |done| Phase::ALL.into_iter().position(|phase| phase == done);
        let phase = done.and_then(position).and_then(|at| u64::try_from(at + 1).ok());
        metrics.rotation_phase.set(phase.unwrap_or(0));
    }
}
