//! `silica certs generate`: a CA and a server certificate of it as files, or a
//! server certificate of a CA that is there already.

use std::path::PathBuf;

use clap::Args;
use silica_certs::{
    authority::{Authority, AuthorityRequest},
    files,
    key::{KeyType, ServerKey},
    leaf::LeafRequest,
};
use time::{Duration, OffsetDateTime};

use super::{error::Error as CertsError, password};
use crate::{
    cli::{context::Context, error::Error, exit::Exit},
    secrets::{self, served_names},
    settings,
};

/// Longest life that `-D` takes, in days.
const DAYS_MAX: i64 = 825;

/// Flags of `silica certs generate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs generate -d myapp.example.com
  silica certs generate -d myapp.example.com -d other.example.com -o certs
  silica certs generate --domain api.example.com --days 730
  silica certs generate -d myapp.example.com --key-type rsa2048

A CA that is in the folder already signs the new certificate, and so does one that is
named; its files stay where they are. Its key may be encrypted:
  silica certs generate -d myapp.example.com --ca-cert ca.pem --ca-key ca.key
  silica certs generate -d myapp.example.com --key-password-file ca-password")]
pub struct GenerateArgs {
    /// Domain of the certificate, once or several times; its wildcard is covered, too
    #[arg(long, short, default_value = "example.com")]
    pub domain: Vec<String>,
    /// Folder for the files
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Validity of the server certificate in days
    #[arg(long, short = 'D', default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=DAYS_MAX))]
    pub days: i64,
    /// Key of the server certificate: p256, p384, rsa2048, rsa3072 or rsa4096
    #[arg(long, value_name = "TYPE", default_value_t)]
    pub key_type: KeyType,
    /// Certificate of the CA that signs (PEM); that of the folder, or a new one, when absent
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    pub ca_cert: Option<PathBuf>,
    /// Private key of that CA (PEM)
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,
    #[command(flatten)]
    pub password: password::KeyPasswordArgs,
}

/// Makes the files.
pub fn run(context: &Context, args: &GenerateArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let domains = settings::domains_of_flag(&args.domain)?;
    let now = OffsetDateTime::now_utc();
    let password = args.password.read().map_err(CertsError::from)?;
    let password = password.as_deref().map(Vec::as_slice);
    let given = args.ca_cert.as_deref().zip(args.ca_key.as_deref());
    let found = match given {
        Some((certificate, key)) => Some(files::load_authority(certificate, key, password)?),
        None => files::read_authority(&args.output, password)?,
    };
    let authority = if let Some(found) = found {
        found
    } else {
        let (names, services) = secrets::permitted_names(&domains);
        Authority::create(&AuthorityRequest::new(names, services), now).map_err(secrets::Error::Authority)?
    };
    let request = LeafRequest {
        names: served_names(&domains),
        validity: Duration::days(args.days),
    };
    let key = ServerKey::generate(args.key_type).map_err(secrets::Error::Key)?;
    let leaf = authority
        .issue_for(&key, &request, now)
        .map_err(secrets::Error::Leaf)?;
    let (written, place) = if let Some((certificate, _)) = given {
        let place = format!("signed by the CA of {}", certificate.display());
        (files::write_signed(&args.output, &authority, &leaf)?, Some(place))
    } else {
        let written = files::write(&args.output, &authority, &leaf)?;
        let place = "the CA was in the folder already and stays".to_owned();
        (written.files, written.authority_reused.then_some(place))
    };
    printer.info(format!("names: {}", request.names.join(", ")));
    for file in &written {
        printer.info(format!("wrote {}", file.display()));
    }
    if let Some(place) = place {
        printer.info(place);
    }
    printer.info(format!("valid until {}", leaf.not_after().date()));
    for notice in leaf.notices(request.validity, now) {
        printer.warn(notice);
    }
    Ok(Exit::Success)
}
