//! `silica certs issue`: orders a certificate by ACME for a domain and its
//! wildcard, and writes it as files or serves it.

mod in_cluster;
mod kept;
mod pending;
pub mod settings;
mod swept;

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use silica_acme::{
    Account, Directory, Dns01, Exec, Issued, Manual, Order,
    account::{self, ExternalAccount},
    provider::{ServerAddress, tsig},
    settings::Provider,
};
use silica_api::types::Domain;
use silica_certs::{files, inspect};
use zeroize::Zeroizing;

use super::error::Error as CertsError;
use crate::{
    cli::{context::Context, error::Error, exit::Exit, flags::duration},
    secrets,
};
use kept::{Kept, Place};
use swept::Swept;

/// How long a hook may run.
const HOOK: Duration = Duration::from_mins(2);
/// How long records may take to be seen when a program creates them.
const WAIT: Duration = Duration::from_mins(2);
/// How long a person may take.
const WAIT_FOR_PERSON: Duration = Duration::from_hours(1);

/// Flags of `silica certs issue`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs issue -d sandbox.example.com -o certs --acme-directory letsencrypt \\
      --email admin@example.com --agree-tos --dns manual
  silica certs issue --cluster --acme-directory letsencrypt --email admin@example.com --agree-tos \\
      --dns rfc2136 --dns-server ns1.example.com --tsig-secret-file acme.key
  silica certs issue --cluster      # again, as it was done before

The controller renews what --cluster ordered with --dns rfc2136, at two thirds of its
life. In all other cases run the command again before the certificate ends.
A hook is called as PROGRAM present|cleanup NAME VALUE.")]
pub struct IssueArgs {
    /// Domain; its wildcard comes along. With --cluster: those installed
    #[arg(long, short, value_name = "NAME", conflicts_with = "cluster")]
    pub domain: Vec<String>,
    /// Folder for the files
    #[arg(
        long,
        short,
        value_name = "DIR",
        default_value = ".",
        conflicts_with = "cluster"
    )]
    pub output: PathBuf,
    /// Serve the certificate in the cluster, and keep account and settings there
    #[arg(long)]
    pub cluster: bool,
    /// CA: letsencrypt, letsencrypt-staging, or the address of its directory
    #[arg(long, value_name = "URL")]
    pub acme_directory: Option<Directory>,
    /// CA certificate (PEM) of the directory's own TLS, when it is not a public one
    #[arg(long, value_name = "FILE")]
    pub acme_ca: Option<PathBuf>,
    /// Who hears from the CA about the certificate
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Accept the terms of service of the CA, which a new account takes
    #[arg(long)]
    pub agree_tos: bool,
    /// Name of the key by which the CA knows its customer
    #[arg(long, value_name = "ID", requires = "eab_key_file")]
    pub eab_kid: Option<String>,
    /// File with that key, in base64
    #[arg(long, value_name = "FILE", requires = "eab_kid")]
    pub eab_key_file: Option<PathBuf>,
    /// Who creates the TXT records that prove the control of the domain
    #[arg(long, value_enum, value_name = "HOW")]
    pub dns: Option<DnsArg>,
    /// Primary name server for signed updates
    #[arg(long, value_name = "HOST[:PORT]")]
    pub dns_server: Option<ServerAddress>,
    /// Name of the TSIG key, unless the file has it
    #[arg(long, value_name = "NAME")]
    pub tsig_name: Option<String>,
    /// hmac-sha256, hmac-sha384 or hmac-sha512, unless the file has it
    #[arg(long, value_name = "NAME")]
    pub tsig_algorithm: Option<tsig::Algorithm>,
    /// File with the secret of the TSIG key: base64, or a key file of BIND or Knot
    #[arg(long, value_name = "FILE")]
    pub tsig_secret_file: Option<PathBuf>,
    /// Program that creates and removes records
    #[arg(long, value_name = "PROGRAM")]
    pub dns_exec: Option<PathBuf>,
    /// Name server to look for the records at, instead of those of the zone
    #[arg(long, value_name = "IP[:PORT]", value_parser = settings::server)]
    pub dns_check: Vec<SocketAddr>,
    /// How long the records may take to be seen on all name servers [default: 2m, manual: 1h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// CA that clients trust (PEM), for an ACME server that is not public
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub ca: Option<PathBuf>,
    /// Serve it even if nothing shows from here whether it is served
    #[arg(long, requires = "cluster")]
    pub no_verify: bool,
}

/// Who creates records.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DnsArg {
    /// Signed dynamic updates, to BIND, Knot, `PowerDNS` and others
    Rfc2136,
    /// A program of yours
    Exec,
    /// You, by hand; the records are printed and waited for
    Manual,
}

impl IssueArgs {
    /// See [`Command::extra_time`](crate::cli::Command::extra_time).
    pub fn extra_time(&self) -> Duration {
        self.wait.unwrap_or(match self.dns {
            Some(DnsArg::Manual) => WAIT_FOR_PERSON,
            // Kept settings say it: not known yet.
            None if self.cluster => WAIT_FOR_PERSON,
            _ => WAIT,
        })
    }
}

/// Orders the certificate.
pub async fn run(context: &Context, args: &IssueArgs) -> Result<Exit, Error> {
    if args.cluster {
        return in_cluster::run(context, args).await;
    }
    let domains = crate::settings::domains_of_flag(&args.domain)?;
    if domains.is_empty() {
        return Err(CertsError::Order(settings::Error::NoDomain).into());
    }
    let place = Place::Folder(args.output.clone());
    let kept = place.read().await?;
    let wanted = settings::merge(args, kept.settings)?;
    let issued = order(context, args, &wanted, kept.account, &place, &domains).await?;
    let written = files::write_server(&args.output, &issued.chain_pem, &issued.key)?;
    for file in &written {
        context.printer.info(format!("wrote {}", file.display()));
    }
    tell_end(context, &issued)?;
    Ok(Exit::Success)
}

/// Opens the account, which is kept at once, and orders.
async fn order(
    context: &Context,
    args: &IssueArgs,
    wanted: &silica_acme::Settings,
    kept: Option<Kept>,
    place: &Place,
    domains: &[Domain],
) -> Result<Issued, Error> {
    let printer = &context.printer;
    let external = match (&args.eab_kid, &args.eab_key_file) {
        (Some(id), Some(path)) => Some(ExternalAccount {
            id: id.clone(),
            key: Zeroizing::new(read(path)?),
        }),
        _ => None,
    };
    let request = account::Request {
        external: external.as_ref(),
        ..wanted.account()
    };
    let resolver = wanted.resolver();
    let failed = |error| Error::Certs(CertsError::Account(Box::new(error)));
    let known = kept.filter(|kept| kept.directory == wanted.directory);
    printer.start("Account");
    let account = match known {
        Some(known) => Account::open(&request, &known.credentials, &resolver)
            .await
            .map_err(failed)?,
        None if !args.agree_tos => return Err(CertsError::Order(settings::Error::Terms).into()),
        None => {
            let made = Account::create(&request, &resolver).await.map_err(failed)?;
            place.write_account(&made, wanted).await?;
            made
        }
    };
    printer.done(account.id());

    let order = Order {
        domains: domains.iter().map(ToString::to_string).collect(),
        wait: wanted.wait(),
    };
    let program = args.dns_exec.clone().unwrap_or_default();
    match &wanted.dns {
        Provider::Rfc2136 { .. } => match wanted.unattended() {
            Some(provider) => {
                let provider = Swept::new(provider, printer.clone());
                ask(context, &account, wanted, provider, &order).await
            }
            None => Err(CertsError::Order(settings::Error::NoDns).into()),
        },
        Provider::Exec => {
            let provider = Swept::new(Exec::new(&program, HOOK), printer.clone());
            ask(context, &account, wanted, provider, &order).await
        }
        Provider::Manual => {
            let shown = printer.clone();
            let provider = Manual::new(move |text| shown.info(text));
            ask(context, &account, wanted, provider, &order).await
        }
    }
}

async fn ask(
    context: &Context,
    account: &Account,
    wanted: &silica_acme::Settings,
    provider: impl Dns01,
    order: &Order,
) -> Result<Issued, Error> {
    let printer = &context.printer;
    printer.start("Certificate");
    let tell = |text: &str| printer.note(text);
    let issued = silica_acme::issue(account, &wanted.resolver(), Arc::new(provider), order, &tell)
        .await
        .map_err(|error| CertsError::Acme(Box::new(error)))?;
    printer.done(&format!("issued by {}", wanted.directory));
    Ok(issued)
}

fn tell_end(context: &Context, issued: &Issued) -> Result<(), Error> {
    let chain = inspect::parse_chain(&issued.chain_pem).map_err(secrets::Error::Inspect)?;
    if let Some(leaf) = chain.first() {
        let printer = &context.printer;
        printer.info(format!("names: {}", leaf.names.join(", ")));
        printer.info(format!("valid until {}", leaf.not_after.date()));
    }
    Ok(())
}

fn read(path: &std::path::Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|source| files::Error::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(text)
}
