//! `silica certs inspect`: what certificates say, from a file, from a server or
//! from the installation.

mod installed;
mod show;

use std::{fs, path::Path, path::PathBuf};

use clap::Args;
use rustls_pki_types::CertificateDer;
use silica_certs::{
    files,
    inspect::{self, Inspected},
    pem, verify,
};
use time::OffsetDateTime;

use self::show::{describe, to_json};
use super::error::Error as CertsError;
use crate::{
    cli::{context::Context, error::Error, exit::Exit, flags::Format, report::Output},
    exposure::https,
};

/// Flags of `silica certs inspect`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs inspect fullchain.pem
  silica certs inspect api.sandbox.example.com --ca ca.crt
  silica certs inspect api.sandbox.example.com --connect 192.0.2.7:443 -o json
  silica certs inspect --cluster

A served chain is shown whether it is trusted or not; with --ca, a chain that the
CA does not vouch for ends the command with code 79, and with --cluster one that
clients of the installation refuse.")]
pub struct InspectArgs {
    #[command(flatten)]
    pub format: Format,
    // Not a doc comment: brackets would be links there.
    #[arg(
        help = "Certificate file (PEM or DER), or HOST[:PORT] to ask for its certificate",
        value_name = "FILE|HOST[:PORT]",
        required_unless_present = "cluster"
    )]
    pub target: Option<String>,
    /// Show the certificates of the installation
    #[arg(long, conflicts_with_all = ["target", "ca", "connect"])]
    pub cluster: bool,
    /// CA file to judge the chain with; the CAs of this machine when absent
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Connect to this address instead of the one that DNS has for HOST
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub connect: Option<String>,
}

/// Certificates that belong together, and whether clients would take them.
struct Group {
    title: String,
    certificates: Vec<Inspected>,
    verdict: Option<Result<String, String>>,
}

/// Shows the certificates.
pub async fn run(context: &Context, args: &InspectArgs) -> Result<Exit, Error> {
    let now = OffsetDateTime::now_utc();
    let groups = match args.target.as_deref() {
        None => installed::read(context, now).await?,
        Some(target) if is_file(target) => vec![of_file(target, args, now)?],
        Some(target) => vec![of_host(target, args, now).await?],
    };
    match context.printer.output() {
        Output::Json => context
            .printer
            .json(&groups.iter().map(|group| to_json(group, now)).collect())?,
        Output::Text => {
            for group in &groups {
                context.printer.result(describe(group, now))?;
            }
        }
    }
    let is_refused = groups.iter().any(|group| matches!(group.verdict, Some(Err(_))));
    Ok(if is_refused && (args.ca.is_some() || args.cluster) {
        Exit::Findings
    } else {
        Exit::Success
    })
}

/// Something that exists, or that no host name looks like.
fn is_file(target: &str) -> bool {
    let path = Path::new(target);
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    path.exists() || target.contains('/') || ["pem", "crt", "cer", "der"].contains(&extension)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| {
        Error::Files(files::Error::Read {
            path: path.to_owned(),
            source,
        })
    })
}

/// The certificates of a file in either form.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let unusable = |source| CertsError::Certificates {
        path: path.to_owned(),
        source,
    };
    let text = match pem::text(&bytes) {
        Err(pem::Error::Der) => return Ok(vec![CertificateDer::from(bytes)]),
        text => text.map_err(|error| unusable(inspect::Error::Pem(error)))?,
    };
    Ok(pem::certificates(&text).map_err(|error| unusable(inspect::Error::Pem(error)))?)
}

pub(super) fn parse(path: &Path, certificates: &[CertificateDer<'_>]) -> Result<Vec<Inspected>, CertsError> {
    let parsed: Result<_, _> = certificates.iter().map(inspect::parse_der).collect();
    parsed.map_err(|source| CertsError::Certificates {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn as_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates
        .iter()
        .map(|certificate| pem::encode_certificate(certificate))
        .collect()
}

fn of_file(target: &str, args: &InspectArgs, now: OffsetDateTime) -> Result<Group, Error> {
    let path = Path::new(target);
    let ders = read_certificates(path)?;
    let certificates = parse(path, &ders)?;
    // A file of CAs is for nobody's host name, so there is nothing to judge.
    let name = certificates.first().filter(|first| !first.is_ca);
    let verdict = match (&args.ca, name.and_then(|first| first.names.first())) {
        (Some(ca), Some(name)) => Some(judge(&ders, name, Some(ca), now)?),
        _ => None,
    };
    Ok(Group {
        title: target.to_owned(),
        certificates,
        verdict,
    })
}

async fn of_host(target: &str, args: &InspectArgs, now: OffsetDateTime) -> Result<Group, Error> {
    let unusable = |target: &str| CertsError::Target {
        target: target.to_owned(),
    };
    let (host, port) = split(target).ok_or_else(|| unusable(target))?;
    let (address, port) = match &args.connect {
        None => (host, port),
        Some(connect) => split(connect).ok_or_else(|| unusable(connect))?,
    };
    let ders = https::served_chain(host, address, port).await?;
    Ok(Group {
        title: format!("{host} at {address}:{port}"),
        certificates: parse(Path::new(host), &ders)?,
        verdict: Some(judge(&ders, host, args.ca.as_deref(), now)?),
    })
}

/// Host and port; the port of HTTPS when there is none.
fn split(target: &str) -> Option<(&str, u16)> {
    let (host, port) = match target.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => target.split_at(target.find(':').unwrap_or(target.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => 443,
        None => return None,
    };
    let is_host = !host.is_empty() && !host.contains(char::is_whitespace);
    is_host.then_some((host, port))
}

fn judge(
    chain: &[CertificateDer<'_>],
    name: &str,
    ca: Option<&Path>,
    now: OffsetDateTime,
) -> Result<Result<String, String>, Error> {
    let (roots, whose) = match ca {
        Some(path) => {
            let roots = read_certificates(path)?;
            parse(path, &roots)?;
            (as_pem(&roots), path.display().to_string())
        }
        None => (system_roots(), "the CAs of this machine".to_owned()),
    };
    Ok(match verify::chain(&as_pem(chain), &roots, name, now) {
        Ok(()) => Ok(format!("accepted for {name} with {whose}")),
        Err(error) => Err(format!("refused for {name} with {whose}: {error}")),
    })
}

/// The CAs that programs on this machine trust, as far as they can be read.
pub(super) fn system_roots() -> String {
    let certificates = rustls_native_certs::load_native_certs().certs;
    let readable: Vec<_> = certificates
        .into_iter()
        .filter(|certificate| inspect::parse_der(certificate).is_ok())
        .collect();
    as_pem(&readable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_have_a_port_and_be_addresses() {
        assert_eq!(split("a.example"), Some(("a.example", 443)));
        assert_eq!(split("a.example:8443"), Some(("a.example", 8443)));
        assert_eq!(split("[::1]:8443"), Some(("::1", 8443)));
        for bad in ["", ":443", "a:b", "a:99999", "[::1", "a b"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_missing_file_is_not_taken_for_a_host() {
        assert!(is_file("missing/fullchain"));
        assert!(is_file("missing.pem"));
        assert!(!is_file("api.example.com"));
    }
}
