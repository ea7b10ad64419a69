//! `silica certs import`: judges a certificate that somebody else issued and
//! puts it into service. Every reason against it is told at once; the former
//! certificate is served until the new one has passed, and again when it fails.

mod files;
pub(super) mod outcomes;
mod verdict;

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::core::ObjectMeta;
use serde_json::json;
use silica_api::{labels, names};
use silica_certs::secret::PrivateKeyPem;
use time::OffsetDateTime;

use self::{
    files::read,
    verdict::{Accepted, Front, judge, judge_for},
};
use super::{error::Error as CertsError, inspect::system_roots, password::KeyPasswordArgs};
use crate::{
    cli::{context::Context, error::Error, exit::Exit, flags::Format, report::Output},
    cluster::{
        Cluster,
        inventory::{self, Entry},
        lock,
    },
    commands::read_installed,
    commands::rotate_certs::{
        deliver::{self, Change},
        fingerprint_of, installed_domains, leave_to_cert_manager,
    },
    facts,
    secrets::{CERTIFICATE, PRIVATE_KEY, contents::CA_CERTIFICATE},
    settings,
};

/// Flags of `silica certs import`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs import --cert fullchain.pem --key privkey.pem
  silica certs import --cert server.crt --chain intermediates.crt --key server.key --ca company-ca.crt
  silica certs import --cert fullchain.pem --key encrypted.pem --key-password-file password
  silica certs import --cert fullchain.pem --key privkey.pem --dry-run -d sandbox.example.com

The certificate has to cover every installed domain and its wildcard, and its chain has to
lead to a CA that this machine trusts or that --ca names. Its key and the order of its chain
are checked before anything is written. Told is also what each kind of client would say.")]
pub struct ImportArgs {
    #[command(flatten)]
    pub format: Format,
    /// Server certificate (PEM), alone or with its chain
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    #[command(flatten)]
    pub password: KeyPasswordArgs,
    /// Certificates of its issuers (PEM), in any order
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// CA that clients trust, for a CA that is not public
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Take a chain that leads to no CA that is known here; its signatures are verified as far as they go
    #[arg(long, conflicts_with = "ca")]
    pub allow_unknown_ca: bool,
    /// Judge the files and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Serve it even if nothing shows from here whether it is served
    #[arg(long, conflicts_with = "dry_run")]
    pub no_verify: bool,
    /// Domain to judge them for instead of those installed; takes no cluster
    #[arg(long, short, value_name = "NAME", requires = "dry_run")]
    pub domain: Vec<String>,
}

/// A certificate as it was given. No `Debug`: it holds a key.
pub(super) struct Given {
    pub(super) chain: String,
    pub(super) key: PrivateKeyPem,
    pub(super) measure: Measure,
}

/// The CAs to which the chain has to lead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Measure {
    /// Those that this machine trusts.
    Public,
    /// These, in PEM.
    Given(String),
    /// Any: what the chain says of itself has to do.
    Any,
}

/// How a certificate came here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// As files: the user is asked before it is served.
    Files,
    /// Ordered over ACME by the same command, which has asked. It is marked, so
    /// that the controller may renew it.
    Acme,
}

/// Imports the certificate.
pub async fn run(context: &Context, args: &ImportArgs) -> Result<Exit, Error> {
    // Before anything is asked of the cluster: files can be wrong without one.
    let given = read(args)?;
    if !args.domain.is_empty() {
        let now = OffsetDateTime::now_utc();
        let domains = settings::domains_of_flag(&args.domain)?;
        let judged = judge(&given, &domains, Front::Manager, &system_roots(), now);
        return tell(context, judged.map_err(Error::from));
    }
    let cluster = context.cluster().await?;
    if args.dry_run {
        let inventory = read_installed(&cluster).await?;
        let judged = judge_for(&cluster, &given, &inventory).await;
        return tell(context, judged);
    }
    // Boxed: the future is large.
    let work = Box::pin(serve(context, &cluster, &given, Origin::Files, args.no_verify));
    lock::exclusive(&cluster, work).await
}

/// Judges the certificate, writes it, and waits until it is served.
pub(super) async fn serve(
    context: &Context,
    cluster: &Cluster,
    given: &Given,
    origin: Origin,
    no_verify: bool,
) -> Result<Exit, Error> {
    let printer = &context.printer;
    let mut inventory = read_installed(cluster).await?;
    let existing = facts::read_existing(cluster).await?;
    let domains = installed_domains(&inventory)?;
    let former = existing.secrets.get(names::TLS_SECRET);
    leave_to_cert_manager(&existing, names::TLS_SECRET)?;
    printer.start("Verdict");
    let accepted = judge_for(cluster, given, &inventory).await?;
    printer.done("the certificate can be served");
    for warning in &accepted.warnings {
        printer.warn(warning);
    }
    if printer.output() == Output::Text {
        printer.info(outcomes::text(&accepted.outcomes));
    }
    if origin == Origin::Files {
        context
            .confirm("Serve this certificate instead of the present one?")
            .await?;
    }
    let ways = deliver::find_ways(context, cluster, &domains, no_verify).await?;
    let fingerprint = fingerprint_of(&accepted.chain)?;
    let mut secret = secret(&accepted, given.key.expose());
    if origin == Origin::Acme {
        let mark = (labels::ACME_FINGERPRINT.to_owned(), fingerprint.clone());
        secret.metadata.annotations = Some(BTreeMap::from([mark]));
    }
    let change = Change {
        domains: &domains,
        secret: &secret,
        former,
        fingerprint: &fingerprint,
    };
    let delivered = deliver::replace(context, cluster, ways, &change).await?;
    // From now on the Secret is not the installation's. Without its label it is safe from
    // `install` and `uninstall` whatever the list says.
    let entry = Entry::core("Secret", "secrets", names::TLS_SECRET);
    if inventory.objects.remove(&entry) {
        inventory::write(cluster, &inventory).await?;
    }
    match printer.output() {
        Output::Text => printer.result(format!("SHA-256 {fingerprint}"))?,
        Output::Json => {
            let mut facts = delivered.to_json();
            facts.insert("fingerprint".to_owned(), json!(fingerprint));
            facts.insert("warnings".to_owned(), json!(accepted.warnings));
            facts.insert("clients".to_owned(), outcomes::to_json(&accepted.outcomes));
            printer.json(&facts.into())?;
        }
    }
    Ok(Exit::Success)
}

/// The verdict of a dry run. For programs a refusal is a result, too.
fn tell(context: &Context, judged: Result<Accepted, Error>) -> Result<Exit, Error> {
    let printer = &context.printer;
    let is_text = printer.output() == Output::Text;
    match judged {
        Ok(accepted) if is_text => {
            for warning in &accepted.warnings {
                printer.warn(warning);
            }
            printer.result(format!(
                "the certificate can be served, SHA-256 {}\n{}",
                fingerprint_of(&accepted.chain)?,
                outcomes::text(&accepted.outcomes)
            ))?;
            Ok(Exit::Success)
        }
        Ok(accepted) => {
            printer.json(&json!({
                "accepted": true,
                "fingerprint": fingerprint_of(&accepted.chain)?,
                "warnings": accepted.warnings,
                "clients": outcomes::to_json(&accepted.outcomes),
            }))?;
            Ok(Exit::Success)
        }
        Err(Error::Certs(CertsError::Refused {
            reasons,
            outcomes,
            is_input: false,
        })) if !is_text => {
            printer.json(&json!({
                "accepted": false,
                "reasons": reasons,
                "clients": outcomes::to_json(&outcomes),
            }))?;
            Ok(Exit::Findings)
        }
        Err(error) => Err(error),
    }
}

/// Without our label: `install` judges it and never writes it.
fn secret(accepted: &Accepted, key: &str) -> Secret {
    let data = BTreeMap::from([
        (CERTIFICATE.to_owned(), accepted.chain.clone()),
        (PRIVATE_KEY.to_owned(), key.to_owned()),
        // Empty rather than absent: what the controller wrote there would stay otherwise,
        // since the entry is its.
        (
            CA_CERTIFICATE.to_owned(),
            accepted.root.clone().unwrap_or_default(),
        ),
    ]);
    Secret {
        metadata: ObjectMeta {
            name: Some(names::TLS_SECRET.into()),
            namespace: Some(names::NAMESPACE.into()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        data: Some(
            data.into_iter()
                .map(|(key, value)| (key, ByteString(value.into_bytes())))
                .collect(),
        ),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
