//! What each step of a rotation writes, and in which order. Interrupted after
//! any write, the same step made again ends as if nothing had happened.
//!
//! Pure: what the cluster holds and the time go in, the writes come out.
//! `silica` and the controller only execute them.

mod error;
mod served;

use time::{Duration, OffsetDateTime};

pub use self::error::Error;
use self::served::cross;
use super::{Action, Course, Phase, Refusal, Request, Signer, State, Waits, record::Record};
use crate::{
    authority::{Authority, AuthorityRequest},
    bundle,
    inspect::Inspected,
    key::{self, KeyType, ServerKey},
    leaf::{Leaf, LeafRequest},
    secret::PrivateKeyPem,
};

/// What the cluster holds.
#[derive(Clone, Debug)]
pub struct Material {
    /// The CA of the installation: the former one, until the last phase has
    /// put the next one into its place.
    pub current: Authority,
    /// The CA that follows, with the state of its rotation.
    pub next: Option<(Authority, Record)>,
    /// The trust bundle; empty when there is none.
    pub bundle: String,
    /// The served chain; empty when there is none.
    pub served: String,
    /// Names and life of a new server certificate.
    pub request: LeafRequest,
    /// Where its key comes from.
    pub key: KeySource,
}

/// Where the key of a new server certificate comes from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Made anew, of this type.
    Type(KeyType),
    /// As [`ServerKey::for_renewal`] of this key; of the usual type when there is none.
    Former(Option<PrivateKeyPem>),
}

impl KeySource {
    fn make(&self) -> Result<ServerKey, key::Error> {
        match self {
            Self::Type(kind) => ServerKey::generate(*kind),
            Self::Former(former) => former
                .as_ref()
                .and_then(|former| ServerKey::for_renewal(former.expose()).ok())
                .map_or_else(ServerKey::p256, Ok),
        }
    }
}

/// One write. The order in which they come is the order in which they are made.
#[derive(Clone, Debug)]
pub enum Write {
    /// Keep the next CA and the state beside it.
    Next(Box<Authority>, Record),
    /// Change the state.
    Mark(Record),
    /// Publish this trust bundle.
    Bundle(String),
    /// Serve this certificate, which this CA has signed.
    Leaf(Box<Leaf>, Box<Authority>),
    /// Make this the CA of the installation.
    Current(Box<Authority>),
    /// Remove the next CA and the state.
    RemoveNext,
}

impl Material {
    /// How far the rotation got; `None` without one.
    pub fn state(&self) -> Option<&State> {
        self.next.as_ref().map(|(_, record)| &record.state)
    }

    /// What to do now.
    pub fn next_action(&self, asked: Request, now: OffsetDateTime) -> Result<Action, Refusal> {
        if let Some((next, record)) = &self.next {
            let current = &self.current.inspected().fingerprint;
            if *current == next.inspected().fingerprint {
                // The last phase was interrupted behind its point of no return.
                return match asked {
                    Request::Abort => Err(Refusal::Retired),
                    Request::Automatic(_) | Request::Step(Phase::Retire) => Ok(Action::Do(Phase::Retire)),
                    Request::Step(_) => Ok(Action::Nothing),
                };
            }
            if *current != record.former && asked != Request::Abort {
                return Err(Refusal::OtherAuthority);
            }
        }
        super::next(self.state(), asked, now)
    }

    /// The writes of one phase; `by` is who begins a rotation.
    pub fn phase(&self, phase: Phase, by: &str, now: OffsetDateTime) -> Result<Vec<Write>, Error> {
        match phase {
            Phase::Prepare => self.prepare(by, now),
            Phase::Spread => {
                self.check_published()?;
                Ok(vec![self.mark(Phase::Spread, now)?])
            }
            Phase::Switch => {
                self.check_published()?;
                let (next, _) = self.next()?;
                let leaf = self.issue(Signer::NextBehindCross, now)?;
                let served = Write::Leaf(Box::new(leaf), Box::new(next.clone()));
                Ok(vec![served, self.mark(Phase::Switch, now)?])
            }
            Phase::Soak => Ok(vec![self.mark(Phase::Soak, now)?]),
            Phase::Retire => self.retire(now),
        }
    }

    /// The writes that make a new CA the only one at once, without any overlap: the
    /// key of the present one is in wrong hands, and with it that of a CA that was
    /// to follow, which lay beside it. Only a CA of an emergency that was
    /// interrupted is used again.
    pub fn emergency(&self, by: &str, now: OffsetDateTime) -> Result<Vec<Write>, Error> {
        let mut writes = Vec::new();
        let mut whole = self.clone();
        let begun = self.next.as_ref().filter(|(_, record)| record.is_emergency);
        if begun.is_none() {
            let begun = self.begin_emergency(by, now)?;
            writes.push(Write::Next(Box::new(begun.0.clone()), begun.1.clone()));
            whole.next = Some(begun);
        }
        writes.extend(whole.retire(now)?);
        Ok(writes)
    }

    /// Retiring from the first write on: every run after an interruption finishes it.
    fn begin_emergency(&self, by: &str, now: OffsetDateTime) -> Result<(Authority, Record), Error> {
        let (next, record) = self.begin(by, now)?;
        let record = Record {
            is_emergency: true,
            ..heading(&record, Course::Retiring)
        };
        Ok((next, record))
    }

    /// The writes that put the former CA back.
    pub fn restore(&self, now: OffsetDateTime) -> Result<Vec<Write>, Error> {
        let (next, record) = self.next()?;
        let mut writes = vec![Write::Mark(heading(record, Course::Undoing))];
        if !self.serves_directly(&self.current) {
            let leaf = self.issue(Signer::Former, now)?;
            writes.push(Write::Leaf(Box::new(leaf), Box::new(self.current.clone())));
        }
        let next = &next.inspected().fingerprint;
        let left = bundle::without(&self.bundle, next, now)?;
        let left = bundle::merge(&[self.current.certificate_pem(), &left], now)?;
        writes.extend([Write::Bundle(left), Write::RemoveNext]);
        Ok(writes)
    }

    /// A new certificate of the CA that signs in this state.
    pub fn renewed(&self, now: OffsetDateTime) -> Result<(Leaf, Authority), Error> {
        let signer = super::signer(self.state());
        let authority = match signer {
            Signer::Former => &self.current,
            Signer::NextBehindCross | Signer::Next => &self.next()?.0,
        };
        Ok((self.issue(signer, now)?, authority.clone()))
    }

    fn next(&self) -> Result<&(Authority, Record), Error> {
        self.next.as_ref().ok_or(Error::NoNext)
    }

    /// The key first, then the trust, then the mark: interrupted anywhere, the
    /// next run uses the same key.
    fn prepare(&self, by: &str, now: OffsetDateTime) -> Result<Vec<Write>, Error> {
        let mut writes = Vec::new();
        let mut whole = self.clone();
        if self.next.is_none() {
            let begun = self.begin(by, now)?;
            // Whether the former CA can sign its successor is learnt before
            // anything is written.
            cross(&self.current, &begun.0, now)?;
            writes.push(Write::Next(Box::new(begun.0.clone()), begun.1.clone()));
            whole.next = Some(begun);
        }
        writes.push(Write::Bundle(whole.both(now)?));
        writes.push(whole.mark(Phase::Prepare, now)?);
        Ok(writes)
    }

    fn begin(&self, by: &str, now: OffsetDateTime) -> Result<(Authority, Record), Error> {
        let current = self.current.inspected();
        let request = AuthorityRequest::succeeding(current, &self.request.names);
        let next = Authority::create(&request, now)?;
        Ok((next, Record::begin(&current.fingerprint, by, now)))
    }

    /// The bundle with both CAs.
    fn both(&self, now: OffsetDateTime) -> Result<String, Error> {
        let (next, _) = self.next()?;
        let parts = [
            self.current.certificate_pem(),
            &self.bundle,
            next.certificate_pem(),
        ];
        Ok(bundle::merge(&parts, now)?)
    }

    /// Distrust comes last: the next CA serves alone, takes its place, and only
    /// then leaves the former one the bundle. In an emergency all others leave it,
    /// too: their keys may have been where the exposed one was.
    fn retire(&self, now: OffsetDateTime) -> Result<Vec<Write>, Error> {
        let (next, record) = self.next()?;
        let mut writes = vec![Write::Mark(heading(record, Course::Retiring))];
        let mut whole = self.clone();
        if record.is_emergency && self.check_published().is_err() {
            whole.bundle = self.both(now)?;
            writes.push(Write::Bundle(whole.bundle.clone()));
        }
        whole.check_published()?;
        let leaf = whole.issue(Signer::Next, now)?;
        let left = if record.is_emergency {
            next.certificate_pem().to_owned()
        } else {
            bundle::without(&self.bundle, &record.former, now)?
        };
        writes.extend([
            Write::Leaf(Box::new(leaf), Box::new(next.clone())),
            Write::Current(Box::new(next.clone())),
            Write::Bundle(left),
            Write::RemoveNext,
        ]);
        Ok(writes)
    }

    fn mark(&self, done: Phase, now: OffsetDateTime) -> Result<Write, Error> {
        let (_, record) = self.next()?;
        Ok(Write::Mark(self.done(record, done, now)))
    }

    fn done(&self, record: &Record, done: Phase, now: OffsetDateTime) -> Record {
        // Only a leaf of the former CA keeps clients waiting for its end.
        let former_leaf = self
            .leaf()
            .filter(|_| done <= Phase::Switch && self.serves_directly(&self.current));
        let state = State {
            done: Some(done),
            since: now,
            old_leaf_until: former_leaf.map_or(record.state.old_leaf_until, |leaf| leaf.not_after),
            ..record.state
        };
        Record {
            state,
            ..record.clone()
        }
    }
}

fn heading(record: &Record, course: Course) -> Record {
    Record {
        state: State {
            course,
            ..record.state.clone()
        },
        ..record.clone()
    }
}

/// When the CA has to be followed by another one: it could not cover the whole
/// life of a certificate issued now.
pub fn succession_due(authority: &Inspected, leaf_life: Duration) -> OffsetDateTime {
    authority.not_after.saturating_sub(leaf_life)
}

/// The waits of a rotation that nobody watches: as if each client read the
/// bundle once in the life of a server certificate.
pub fn unattended(leaf_life: Duration) -> Waits {
    Waits {
        soak: leaf_life,
        retires: true,
        ..Waits::default()
    }
}

#[cfg(test)]
mod tests;
