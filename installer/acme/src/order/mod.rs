//! From order to certificate (RFC 8555 section 7.4): records into DNS, seen
//! everywhere, validated, signed; the records are removed in every outcome.

mod sweep;

use std::{sync::Arc, time::Duration};

use instant_acme::{
    AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, NewOrder, OrderStatus, Problem,
};
use silica_certs::{leaf, names::server_names, request::SigningRequest, secret::PrivateKeyPem, verify};
use tokio::time::{Instant, sleep};

use crate::{
    Account, Tell,
    account::{NONCE_TRIES, is_bad_nonce},
    dns::{self, Resolver, propagation},
    problem::{self, Refusal},
    provider::{self, Dns01, TxtRecord},
};
use sweep::Sweep;

/// How long the CA may take to validate, and then to sign.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pause between two questions to the CA, unless it says another.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA refused a step.
    #[error("the CA refused to {step}")]
    Refused {
        /// The step.
        step: &'static str,
        /// What it said.
        #[source]
        refusal: Box<Refusal>,
    },
    /// The CA could not be asked, or answered something else.
    #[error("failed to {step}")]
    Ca {
        /// The step.
        step: &'static str,
        /// When it wants to be asked again: an answer without a problem document
        /// may say that, too.
        retry_after: Option<Duration>,
        /// What went wrong.
        #[source]
        source: Box<instant_acme::Error>,
    },
    /// The CA wants another proof.
    #[error("the CA offers no dns-01 challenge for {name}, only: {}", offered.join(", "))]
    NoDns01 {
        /// The name.
        name: String,
        /// What it offers.
        offered: Vec<String>,
    },
    /// The CA looked and did not accept what it saw.
    #[error("the CA did not accept the proof:\n  - {}", shown(failures))]
    Invalid {
        /// By name.
        failures: Vec<(String, Refusal)>,
        /// When the CA wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The records did not get into DNS.
    #[error("failed to put the TXT records into DNS")]
    Provider(#[from] provider::Error),
    /// The name of a record cannot be looked up.
    #[error("failed to look for aliases of the challenge names")]
    Dns(#[from] dns::Error),
    /// The records are not seen everywhere.
    #[error("the CA was not asked to look")]
    Propagation(#[from] propagation::Error),
    /// The CA takes too long.
    #[error("the CA did not {step} within {} s", PATIENCE.as_secs())]
    Late {
        /// What it should have done.
        step: &'static str,
    },
    /// The request for the certificate cannot be made.
    #[error("failed to make the signing request")]
    Request(#[from] leaf::Error),
    /// The CA signed something else.
    #[error("the CA's certificate does not belong to the key that was made for it")]
    OtherKey(#[source] verify::Error),
}

impl Error {
    /// When the CA wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { refusal, .. } => refusal.retry_after,
            Self::Ca { retry_after, .. } | Self::Invalid { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Type of the problem that the CA reported, without its prefix.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Refused { refusal, .. } => Some(&refusal.kind),
            Self::Invalid { failures, .. } => failures.first().map(|(_, refusal)| refusal.kind.as_str()),
            _ => None,
        }
    }
}

fn shown(failures: &[(String, Refusal)]) -> String {
    let each = failures
        .iter()
        .map(|(name, refusal)| format!("{name}: {refusal}"));
    each.collect::<Vec<_>>().join("\n  - ")
}

/// What is ordered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// Each with its wildcard.
    pub domains: Vec<String>,
    /// How long the records may take to be seen on all name servers.
    pub wait: Duration,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// As the server sends it: the certificate, then its issuers.
    pub chain_pem: String,
    /// Made here, for this certificate only.
    pub key: PrivateKeyPem,
}

/// Does a step again while the CA only refuses its nonce, which it may do at
/// any time (RFC 8555 section 6.5). A macro, because the steps borrow the order.
macro_rules! insist {
    ($account:expr, $step:expr, $call:expr) => {{
        let mut tries = 0;
        loop {
            match $call.await {
                Err(error) if is_bad_nonce(&error) && tries < NONCE_TRIES => tries += 1,
                other => break other.map_err(|error| failed($account, $step, error)),
            }
        }
    }};
}

/// Orders a certificate for the domains and their wildcards. The account's
/// terms of service are accepted already.
pub async fn issue<P: Dns01>(
    account: &Account,
    resolver: &Resolver,
    provider: Arc<P>,
    wanted: &Order,
    tell: Tell<'_>,
) -> Result<Issued, Error> {
    let names = server_names(&wanted.domains, &[]);
    // Before anybody is asked: names can be wrong.
    let request = SigningRequest::create(&names)?;
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    tell("asking the CA which records prove the control of the domain");
    let new_order = NewOrder::new(&identifiers);
    let mut order = insist!(account, "take the order", account.inner.new_order(&new_order))?;

    let mut records = Vec::new();
    for record in challenges(account, &mut order).await? {
        let name = resolver.follow(&record.name).await?;
        records.push(TxtRecord { name, ..record });
    }
    let sweep = Sweep::new(provider, records);
    let proved = prove(account, resolver, &mut order, &sweep, wanted, tell).await;
    let signed = match proved {
        Ok(()) => sign(account, &mut order, &request, tell).await,
        Err(error) => Err(error),
    };
    // Told in every outcome, and never instead of why there is no certificate.
    if let Err(error) = sweep.finish(tell).await {
        tell(&format!("the TXT records could not be removed: {error}"));
    }
    let chain_pem = signed?;
    verify::key_matches(&chain_pem, request.key_pem().expose()).map_err(Error::OtherKey)?;
    Ok(Issued {
        chain_pem,
        key: request.key_pem().clone(),
    })
}

/// The records that the CA wants to see; none for names proved a short while ago.
async fn challenges(account: &Account, order: &mut instant_acme::Order) -> Result<Vec<TxtRecord>, Error> {
    // Once, so that a refused nonce in the middle loses nothing: what was
    // fetched is remembered by the order.
    insist!(account, "show what it wants proved", async {
        let mut states = order.authorizations();
        while let Some(state) = states.next().await {
            state?;
        }
        Ok(())
    })?;
    let mut records = Vec::new();
    let mut states = order.authorizations();
    while let Some(state) = states.next().await {
        let mut state = state.map_err(|error| failed(account, "show what it wants proved", error))?;
        if state.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = problem::name(state.identifier().identifier);
        let offered = state
            .challenges
            .iter()
            .map(|one| format!("{:?}", one.r#type))
            .collect();
        let Some(challenge) = state.challenge(ChallengeType::Dns01) else {
            return Err(Error::NoDns01 { name, offered });
        };
        records.push(TxtRecord {
            // RFC 8555 section 8.4: the wildcard's name is that of the apex.
            name: format!("_acme-challenge.{name}"),
            value: challenge.key_authorization().dns_value(),
        });
    }
    Ok(records)
}

/// Puts the records into DNS, waits until they are seen, and lets the CA look.
async fn prove<P: Dns01>(
    account: &Account,
    resolver: &Resolver,
    order: &mut instant_acme::Order,
    sweep: &Sweep<P>,
    wanted: &Order,
    tell: Tell<'_>,
) -> Result<(), Error> {
    if !sweep.records().is_empty() {
        tell("putting the TXT records into DNS");
        sweep.provider().present(sweep.records()).await?;
        propagation::wait(resolver, sweep.records(), wanted.wait, tell).await?;
        tell("every name server shows the TXT records; the CA looks now");
        ready(account, order).await?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = insist!(account, "tell the state of the order", async {
            order.refresh().await.map(|state| state.status)
        })?;
        match status {
            OrderStatus::Ready | OrderStatus::Valid => return Ok(()),
            OrderStatus::Invalid => return Err(refused_proof(account, order).await),
            OrderStatus::Pending | OrderStatus::Processing => {}
        }
        pause(account, deadline, "look at the records").await?;
    }
}

/// Tells the CA to look at all the records.
async fn ready(account: &Account, order: &mut instant_acme::Order) -> Result<(), Error> {
    let step = "look at the records";
    let mut states = order.authorizations();
    while let Some(state) = states.next().await {
        let mut state = state.map_err(|error| failed(account, step, error))?;
        if state.status != AuthorizationStatus::Pending {
            continue;
        }
        if let Some(mut challenge) = state.challenge(ChallengeType::Dns01)
            && challenge.status == ChallengeStatus::Pending
        {
            insist!(account, step, challenge.set_ready())?;
        }
    }
    Ok(())
}

/// What the CA found wrong, name by name.
async fn refused_proof(account: &Account, order: &mut instant_acme::Order) -> Error {
    let step = "say why";
    let retry_after = account.pace.take();
    let of_order = order.state().error.clone();
    let mut failures = Vec::new();
    let mut states = order.authorizations();
    while let Some(state) = states.next().await {
        let refreshed: Result<Vec<(String, Problem)>, Error> = async {
            let mut state = state.map_err(|error| failed(account, step, error))?;
            insist!(account, step, async { state.refresh().await.map(drop) })?;
            let name = problem::name(state.identifier().identifier);
            let shown = if state.wildcard { format!("*.{name}") } else { name };
            let errors = state.challenges.iter().filter_map(|one| one.error.clone());
            Ok(errors.map(|error| (shown.clone(), error)).collect())
        }
        .await;
        match refreshed {
            Ok(found) => failures.extend(
                found
                    .into_iter()
                    .map(|(name, problem)| (name, Refusal::of(&problem, None))),
            ),
            Err(error) => return error,
        }
    }
    if let (true, Some(problem)) = (failures.is_empty(), of_order) {
        return failed(
            account,
            "issue the certificate",
            instant_acme::Error::Api(problem),
        );
    }
    Error::Invalid {
        failures,
        retry_after,
    }
}

/// Sends the request and waits for the certificate.
async fn sign(
    account: &Account,
    order: &mut instant_acme::Order,
    request: &SigningRequest,
    tell: Tell<'_>,
) -> Result<String, Error> {
    let step = "sign the certificate";
    tell("waiting for the CA to sign");
    if order.state().status != OrderStatus::Valid {
        insist!(account, step, order.finalize_csr(request.der()))?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match insist!(account, step, order.certificate())? {
            Some(chain) => return Ok(chain),
            None => pause(account, deadline, step).await?,
        }
    }
}

/// Waits as long as the CA wishes, within bounds.
async fn pause(account: &Account, deadline: Instant, step: &'static str) -> Result<(), Error> {
    let wished = account.pace.take().unwrap_or(PAUSE);
    let pause = wished.clamp(PAUSE / 4, LONGEST_PAUSE);
    if Instant::now() + pause > deadline {
        return Err(Error::Late { step });
    }
    sleep(pause).await;
    Ok(())
}

fn failed(account: &Account, step: &'static str, error: instant_acme::Error) -> Error {
    match error {
        instant_acme::Error::Api(problem) => Error::Refused {
            step,
            refusal: Box::new(Refusal::of(&problem, account.pace.take())),
        },
        source => Error::Ca {
            step,
            retry_after: account.pace.take(),
            source: Box::new(source),
        },
    }
}
