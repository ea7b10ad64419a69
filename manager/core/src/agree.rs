//! Which of several sandboxes one idempotent call gets.
//!
//! Replicas of the manager that work on the same call may each claim a sandbox before one
//! learns of the other. All of them list the candidates after their own claim, and follow
//! these rules with writes that hold for the listed versions only:
//!
//! - a settled candidate is the one, for good;
//! - else it is the oldest claim: first the others are deleted, then it is marked as settled.
//!
//! Two candidates are never both settled. Of two claims the later one is listed together with
//! the earlier one, so whoever settles a candidate without having seen the other did so before
//! that one was claimed, and the other's claimer meets either the mark or, trying to delete
//! the version that it saw, a refusal.

use jiff::Timestamp;

/// Characters of the hash of a call that its sandboxes carry as a label, whose values are short.
const LABEL_LENGTH: usize = 40;

/// The value of the label under which the sandboxes of a call are found.
pub fn label(hash: &str) -> &str {
    hash.get(..LABEL_LENGTH).unwrap_or(hash)
}

/// A living sandbox that was claimed for the call.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// `metadata.uid`
    pub uid: &'a str,
    /// Time of the claim.
    pub claimed_at: Timestamp,
    /// Whether it carries the mark.
    pub is_settled: bool,
}

/// What to do with the candidates, by their places in the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The one that the call gets.
    pub winner: usize,
    /// Whether it is so for good; otherwise it has to be marked once the losers are gone.
    pub is_settled: bool,
    /// Those to delete.
    pub losers: Vec<usize>,
}

/// Chooses among the candidates; nothing when there are none.
pub fn judge(candidates: &[Candidate<'_>]) -> Option<Verdict> {
    let all = || candidates.iter().enumerate();
    let (winner, chosen) = all().min_by_key(|(_, one)| (!one.is_settled, one.claimed_at, one.uid))?;
    let losers = all().map(|(place, _)| place).filter(|place| *place != winner);
    Some(Verdict {
        winner,
        is_settled: chosen.is_settled,
        losers: losers.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(uid: &str, second: i64, is_settled: bool) -> Candidate<'_> {
        Candidate {
            uid,
            claimed_at: Timestamp::from_second(second).unwrap(),
            is_settled,
        }
    }

    fn winner(candidates: &[Candidate<'_>]) -> usize {
        judge(candidates).unwrap().winner
    }

    #[test]
    fn the_oldest_claim_wins_in_whatever_order_they_are_listed() {
        let (old, new) = (candidate("b", 1, false), candidate("a", 2, false));
        let verdict = judge(&[new, old]).unwrap();
        assert_eq!((verdict.winner, verdict.is_settled), (1, false));
        assert_eq!(verdict.losers, [0]);
        assert_eq!(winner(&[old, new]), 0);
        let same = candidate("a", 1, false);
        assert_eq!((winner(&[old, same]), winner(&[same, old])), (1, 0));
    }

    #[test]
    fn what_is_settled_stays_so_even_against_an_older_claim() {
        let verdict = judge(&[candidate("a", 1, false), candidate("b", 2, true)]).unwrap();
        assert_eq!((verdict.winner, verdict.is_settled), (1, true));
        assert_eq!(verdict.losers, [0]);
    }

    #[test]
    fn nobody_wins_among_none_and_one_alone_has_no_losers() {
        assert_eq!(judge(&[]), None);
        assert!(judge(&[candidate("a", 1, false)]).unwrap().losers.is_empty());
    }

    #[test]
    fn a_hash_fits_a_label() {
        let hash = "0123456789".repeat(7);
        assert_eq!(label(&hash).len(), 40);
        assert_eq!(label("short"), "short");
    }
}
