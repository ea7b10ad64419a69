//! `silica certs`: makes certificates as files, exports the CA, shows
//! certificates, orders official ones and takes those of others into service.

pub mod error;
pub mod import;
pub mod inspect;
pub mod issue;
pub mod password;
pub mod trust;

use std::{path::PathBuf, time::Duration as StdDuration};

use clap::{Args, Subcommand};
use silica_api::{names, types::Domain};
use silica_certs::{
    authority::{Authority, AuthorityRequest},
    files,
    key::{KeyType, ServerKey},
    leaf::LeafRequest,
};
use time::{Duration, OffsetDateTime};

use crate::{
    error::Error,
    exit::Exit,
    facts::{self, Existing},
    report::Output,
    run::Context,
    secrets::{self, served_names},
    settings,
};

/// Longest life that `-D` takes, in days.
const DAYS_MAX: i64 = 825;

/// Flags of `silica certs`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs generate -d sandbox.example.com -o certs -D 365
  silica certs export > silica-ca.crt
  silica certs inspect api.sandbox.example.com
  silica certs import --cert fullchain.pem --key privkey.pem
  silica certs issue --cluster --acme-directory letsencrypt --agree-tos --dns manual")]
pub struct CertsArgs {
    #[command(subcommand)]
    pub command: CertsCommand,
}

/// What to do with certificates.
#[derive(Clone, Debug, Subcommand)]
pub enum CertsCommand {
    /// Write fullchain.pem, privkey.pem, ca-fullchain.pem and ca-privkey.pem
    Generate(GenerateArgs),
    /// Print the CA certificates that clients must trust
    #[command(after_help = "\
Examples:
  silica certs export > silica-ca.crt
  SSL_CERT_FILE=silica-ca.crt python3 main.py")]
    Export,
    /// Show what certificates say
    Inspect(inspect::InspectArgs),
    /// Make this machine trust the CA, or tell how
    Trust(trust::TrustArgs),
    /// Serve a certificate that somebody else issued
    Import(import::ImportArgs),
    /// Order an official certificate by ACME, for example of Let's Encrypt
    Issue(Box<issue::IssueArgs>),
}

impl CertsArgs {
    /// What the command may take beyond the time limit: records that a person
    /// creates take as long as they take.
    pub fn extra_time(&self) -> StdDuration {
        match &self.command {
            CertsCommand::Issue(args) => args.extra_time(),
            _ => StdDuration::ZERO,
        }
    }

    /// The form in which the command gives its results.
    pub fn output(&self) -> Output {
        match &self.command {
            CertsCommand::Inspect(args) => args.format.output,
            CertsCommand::Import(args) => args.format.output,
            CertsCommand::Trust(args) => args.format.output,
            CertsCommand::Generate(_) | CertsCommand::Export | CertsCommand::Issue(_) => Output::Text,
        }
    }
}

/// Flags of `silica certs generate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs generate -d myapp.example.com
  silica certs generate --domain api.example.com --days 730
  silica certs generate -d myapp.example.com --key-type rsa2048

A CA that is in the folder already signs the new certificate. Its key may be encrypted:
  silica certs generate -d myapp.example.com --key-password-file ca-password")]
pub struct GenerateArgs {
    /// Domain of the certificate; its wildcard is covered, too
    #[arg(long, short, default_value = "example.com")]
    pub domain: String,
    /// Folder for the files
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Validity of the server certificate in days
    #[arg(long, short = 'D', default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=DAYS_MAX))]
    pub days: i64,
    /// Key of the server certificate: p256, p384, rsa2048, rsa3072 or rsa4096
    #[arg(long, value_name = "TYPE", default_value_t)]
    pub key_type: KeyType,
    #[command(flatten)]
    pub password: password::KeyPasswordArgs,
}

/// Runs the chosen command.
pub async fn run(context: &Context, args: &CertsArgs) -> Result<Exit, Error> {
    match &args.command {
        CertsCommand::Generate(args) => generate(context, args),
        CertsCommand::Export => export(context).await,
        CertsCommand::Inspect(args) => inspect::run(context, args).await,
        CertsCommand::Trust(args) => trust::run(context, args).await,
        CertsCommand::Import(args) => import::run(context, args).await,
        CertsCommand::Issue(args) => issue::run(context, args).await,
    }
}

fn generate(context: &Context, args: &GenerateArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let parsed = args.domain.parse::<Domain>();
    let domain = [parsed.map_err(|source| settings::Error::Name {
        what: "domain",
        origin: settings::Origin::Flag("domain".into()),
        source,
    })?];
    let now = OffsetDateTime::now_utc();
    let password = args.password.read().map_err(error::Error::from)?;
    let authority =
        if let Some(found) = files::read_authority(&args.output, password.as_deref().map(Vec::as_slice))? {
            found
        } else {
            let (domains, permitted) = secrets::permitted_names(&domain);
            let wanted = AuthorityRequest::new(domains, permitted);
            Authority::create(&wanted, now).map_err(secrets::Error::Authority)?
        };
    let request = LeafRequest {
        names: served_names(&domain),
        validity: Duration::days(args.days),
    };
    let key = ServerKey::generate(args.key_type).map_err(secrets::Error::Key)?;
    let leaf = authority
        .issue_for(&key, &request, now)
        .map_err(secrets::Error::Leaf)?;
    let written = files::write(&args.output, &authority, &leaf)?;
    printer.info(format!("names: {}", request.names.join(", ")));
    for file in &written.files {
        printer.info(format!("wrote {}", file.display()));
    }
    if written.authority_reused {
        printer.info("the CA was in the folder already and stays");
    }
    printer.info(format!("valid until {}", leaf.not_after().date()));
    Ok(Exit::Success)
}

async fn export(context: &Context) -> Result<Exit, Error> {
    let cluster = context.cluster().await?;
    let existing = facts::read_existing(&cluster).await?;
    context.printer.result(needed_roots(&existing)?)?;
    Ok(Exit::Success)
}

/// The CA certificates that clients have to be given; an error when they need none.
fn needed_roots(existing: &Existing) -> Result<&str, Error> {
    let is_installed = existing.secrets.contains_key(names::TLS_SECRET) || existing.ca_bundle.is_some();
    match secrets::client_roots(existing) {
        Some(roots) => Ok(roots),
        None if is_installed => Err(error::Error::NoRoots.into()),
        None => Err(Error::NotInstalled),
    }
}
