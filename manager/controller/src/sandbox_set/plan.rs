//! Decides what to create and what to delete in a pool; no IO.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use silica_api::crd::Sandbox;

use super::census::{Census, Member};
use crate::memory::PoolMemory;

/// Creations planned at a time; the next look plans the rest.
const BATCH: usize = 100;

/// Size and speed limits of a pool, as absolute numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    /// Wanted unused sandboxes.
    pub(super) replicas: usize,
    /// Sandboxes that may be in creation at a time; `None` without limit.
    pub(super) max_creating: Option<usize>,
    /// Available sandboxes that may be missing during an update.
    pub(super) max_updating: usize,
}

/// Why a sandbox is deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Removal {
    Failed,
    ScaledDown,
    Outdated,
}

/// What to do to a pool.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) create: usize,
    pub(super) delete: Vec<(Arc<Sandbox>, Removal)>,
    /// Creations wait until then.
    delayed_until: Option<Timestamp>,
}

impl Plan {
    /// When to look again although nothing changed. Call it after the plan was
    /// carried out: what that remembered counts.
    pub(super) fn retry_after(&self, memory: &PoolMemory, now: Timestamp) -> Option<Duration> {
        let failed = memory.backoff.not_before().filter(|time| *time > now);
        [self.delayed_until, memory.next_expiry(), failed]
            .into_iter()
            .flatten()
            .map(|time| Duration::try_from(now.duration_until(time)).unwrap_or(Duration::ZERO))
            .min()
            .map(|pause| pause.max(Duration::from_millis(10)))
    }
}

/// The plan for what the census shows.
pub(super) fn plan(census: &Census, limits: &Limits, memory: &PoolMemory, now: Timestamp) -> Plan {
    let creating = census.creating.len() + memory.pending();
    let unused = census.unused(memory);

    let mut plan = Plan::default();
    plan.delete
        .extend(census.dead.iter().map(|dead| (Arc::clone(dead), Removal::Failed)));
    if unused > limits.replicas {
        let victims = scale_down_order(census).take(unused - limits.replicas);
        plan.delete
            .extend(victims.map(|member| (Arc::clone(&member.sandbox), Removal::ScaledDown)));
        return plan;
    }
    let outdated = outdated(census, limits);
    plan.delete
        .extend(outdated.map(|member| (Arc::clone(&member.sandbox), Removal::Outdated)));

    let missing = limits.replicas - unused;
    let limit = if memory.backoff.is_probing() {
        Some(1)
    } else {
        limits.max_creating
    };
    let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(creating));
    plan.create = missing.min(room).min(BATCH);
    if limits.max_creating == Some(0) {
        plan.create = 0;
    }
    let not_before = memory
        .backoff
        .not_before()
        .max(memory.burst.not_before(census.available.len()));
    if let Some(time) = not_before.filter(|time| *time > now && plan.create > 0) {
        plan.create = 0;
        plan.delayed_until = Some(time);
    }
    plan
}

/// Who goes first when there are too many: what is not ready before what is,
/// the old template before the new one; among the unready the youngest, which
/// has cost least, among the ready the oldest.
fn scale_down_order(census: &Census) -> impl Iterator<Item = &Member> {
    let (new_creating, old_creating): (Vec<_>, Vec<_>) =
        census.creating.iter().rev().partition(|member| member.is_current);
    let (new_available, old_available): (Vec<_>, Vec<_>) =
        census.available.iter().partition(|member| member.is_current);
    old_creating
        .into_iter()
        .chain(new_creating)
        .chain(old_available)
        .chain(new_available)
}

/// Members of an older template that may go now: all that are not ready, and as
/// many available ones as the pool can miss.
fn outdated<'a>(census: &'a Census, limits: &Limits) -> impl Iterator<Item = &'a Member> + use<'a> {
    let needed = limits.replicas.saturating_sub(limits.max_updating);
    let spare = census.available.len().saturating_sub(needed);
    let creating = census.creating.iter().filter(|member| !member.is_current);
    creating.chain(
        census
            .available
            .iter()
            .filter(|member| !member.is_current)
            .take(spare),
    )
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::{
        super::census::{
            self,
            tests::{at, available, member},
        },
        *,
    };

    const NEW: &str = "new";
    const OLD: &str = "old";

    fn limits(replicas: usize) -> Limits {
        Limits {
            replicas,
            max_creating: None,
            max_updating: 1,
        }
    }

    /// Members by `(revision, is available)`, named by their index, oldest first.
    fn pool(members: &[(&str, bool)]) -> Census {
        let members: Vec<_> = (0..)
            .zip(members)
            .map(|(index, (revision, ready))| {
                let status = if *ready {
                    available()
                } else {
                    json!({"phase": "Pending"})
                };
                member(&index.to_string(), revision, index, &status)
            })
            .collect();
        census::take(&members, NEW, &PoolMemory::default(), at(100))
    }

    fn check(
        census: &Census,
        limits: &Limits,
        memory: &PoolMemory,
        create: usize,
        delete: &[(&str, Removal)],
    ) {
        let plan = plan(census, limits, memory, at(100));
        let deleted: Vec<_> = plan
            .delete
            .iter()
            .map(|(sandbox, why)| (sandbox.name_any(), *why))
            .collect();
        let expected: Vec<_> = delete
            .iter()
            .map(|(name, why)| ((*name).to_owned(), *why))
            .collect();
        assert_eq!((plan.create, deleted), (create, expected), "{limits:?}");
    }

    fn pending(count: usize) -> PoolMemory {
        let mut memory = PoolMemory::default();
        (0..count).for_each(|index| memory.note_created(format!("p{index}"), at(99)));
        memory
    }

    #[test]
    fn an_empty_pool_is_filled_and_a_full_one_left_alone() {
        let none = PoolMemory::default();
        check(&pool(&[]), &limits(3), &none, 3, &[]);
        check(
            &pool(&[(NEW, true), (NEW, false), (NEW, true)]),
            &limits(3),
            &none,
            0,
            &[],
        );
        check(&pool(&[(NEW, true)]), &limits(3), &none, 2, &[]);
        check(&pool(&[]), &limits(0), &none, 0, &[]);
        check(&pool(&[]), &limits(5000), &none, BATCH, &[]);
    }

    #[test]
    fn a_stale_cache_does_not_create_twice() {
        check(&pool(&[]), &limits(3), &pending(3), 0, &[]);
        check(&pool(&[(NEW, true)]), &limits(3), &pending(1), 1, &[]);
    }

    #[test]
    fn creations_that_the_cache_does_not_show_count_as_too_many_too() {
        check(
            &pool(&[(NEW, true)]),
            &limits(1),
            &pending(1),
            0,
            &[("0", Removal::ScaledDown)],
        );
    }

    #[test]
    fn growth_is_limited_by_what_is_in_creation() {
        let limit = |max| Limits {
            max_creating: Some(max),
            ..limits(10)
        };
        let none = PoolMemory::default();
        check(&pool(&[]), &limit(4), &none, 4, &[]);
        check(&pool(&[(NEW, false), (NEW, true)]), &limit(4), &none, 3, &[]);
        check(&pool(&[(NEW, false)]), &limit(4), &pending(3), 0, &[]);
        check(&pool(&[]), &limit(0), &none, 0, &[]);
        check(&pool(&[]), &limit(500), &none, 10, &[]);
    }

    #[test]
    fn the_unready_and_the_outdated_go_first_when_scaling_down() {
        let census = pool(&[
            (NEW, true),
            (OLD, true),
            (NEW, false),
            (OLD, false),
            (NEW, false),
            (NEW, true),
        ]);
        let gone = |replicas: usize| {
            let plan = plan(&census, &limits(replicas), &PoolMemory::default(), at(100));
            plan.delete
                .iter()
                .map(|(sandbox, _)| sandbox.name_any())
                .collect::<Vec<_>>()
        };
        assert_eq!(gone(5), ["3"]);
        assert_eq!(gone(3), ["3", "4", "2"]);
        assert_eq!(gone(2), ["3", "4", "2", "1"]);
        assert_eq!(gone(0), ["3", "4", "2", "1", "0", "5"]);
    }

    #[test]
    fn an_update_replaces_the_unready_at_once_and_the_ready_within_the_budget() {
        let census = pool(&[(OLD, true), (OLD, true), (OLD, false), (OLD, true)]);
        let none = PoolMemory::default();
        let outdated =
            |names: &[&'static str]| names.iter().map(|n| (*n, Removal::Outdated)).collect::<Vec<_>>();
        // 3 of 4 are available, 3 are needed.
        check(&census, &limits(4), &none, 0, &outdated(&["2"]));
        check(
            &census,
            &Limits {
                max_updating: 3,
                ..limits(4)
            },
            &none,
            0,
            &outdated(&["2", "0", "1"]),
        );
    }

    #[test]
    fn an_update_waits_for_its_own_new_members() {
        let none = PoolMemory::default();
        let all_ready = pool(&[(OLD, true), (OLD, true), (OLD, true)]);
        check(&all_ready, &limits(3), &none, 0, &[("0", Removal::Outdated)]);
        let one_out = pool(&[(OLD, true), (OLD, true)]);
        check(&one_out, &limits(3), &none, 1, &[]);
        let one_starting = pool(&[(OLD, true), (OLD, true), (NEW, false)]);
        check(&one_starting, &limits(3), &none, 0, &[]);
        let one_done = pool(&[(OLD, true), (OLD, true), (NEW, true)]);
        check(&one_done, &limits(3), &none, 0, &[("0", Removal::Outdated)]);
    }

    #[test]
    fn the_dead_are_removed_and_replaced_after_a_pause() {
        let members = [member(
            "dead",
            NEW,
            0,
            &json!({"phase": "Failed", "message": "boom"}),
        )];
        let mut memory = PoolMemory::default();
        let census = census::take(&members, NEW, &memory, at(100));
        memory
            .backoff
            .observe(census.newest_available, census.failure(), at(100));
        let first = plan(&census, &limits(2), &memory, at(100));
        assert_eq!((first.create, first.delete.len()), (0, 1));
        assert_eq!(first.retry_after(&memory, at(100)), Some(Duration::from_secs(1)));
        let later = plan(&Census::default(), &limits(2), &memory, at(101));
        assert_eq!(later.create, 2);
    }

    #[test]
    fn a_refill_waits_for_the_end_of_a_burst() {
        let mut memory = PoolMemory::default();
        memory.burst.observe(3, at(99));
        memory.burst.observe(2, at(100));
        let left = pool(&[(NEW, true), (NEW, true)]);
        let delayed = plan(&left, &limits(3), &memory, at(100));
        assert_eq!(delayed.create, 0);
        assert_eq!(
            delayed.retry_after(&memory, at(100)),
            Some(Duration::from_millis(100))
        );
        check(&pool(&[]), &limits(3), &memory, 3, &[]);
        assert_eq!(plan(&left, &limits(3), &memory, at(101)).create, 1);
    }

    #[test]
    fn after_many_failures_one_sandbox_at_a_time_is_tried() {
        let mut memory = PoolMemory::default();
        (0..3).for_each(|_| memory.backoff.fail("boom", at(0)));
        check(&pool(&[]), &limits(10), &memory, 1, &[]);
        check(&pool(&[(NEW, false)]), &limits(10), &memory, 0, &[]);
    }
}
