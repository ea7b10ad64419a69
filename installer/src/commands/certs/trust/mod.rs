//! `silica certs trust`: makes a machine trust the CA, or tells how.
//!
//! A CA of Silica's is limited to its own domains, so trusting it cannot harm
//! any other site. One without such limits is only trusted with `--force`.

pub mod guide;
pub mod store;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use silica_certs::{bundle, inspect::Inspected};
use time::OffsetDateTime;

use self::{guide::System, store::Store};
use super::{
    error::Error as CertsError,
    export::read_bundle,
    inspect::{as_pem, parse, read_certificates},
};
use crate::cli::{context::Context, error::Error, exit::Exit, flags::Format, report::Output};

/// Flags of `silica certs trust`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs trust                                  # what to do on this system
  silica certs trust --system firefox
  sudo silica certs trust --ca silica-ca.crt --install
  sudo silica certs trust --uninstall

--install and --uninstall work where update-ca-certificates is: Debian, Ubuntu and their relatives.")]
pub struct TrustArgs {
    #[command(flatten)]
    pub format: Format,
    /// CA file (PEM or DER); the trust bundle of the installation when absent
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Put the CA into the trust store of this machine
    #[arg(long, conflicts_with_all = ["uninstall", "system"])]
    pub install: bool,
    /// Take the CA of --ca out of the trust store again, or all that this command put in
    #[arg(long, conflicts_with = "system")]
    pub uninstall: bool,
    /// Trust a CA that may sign for every name
    #[arg(long, requires = "install")]
    pub force: bool,
    /// Write each CA into a file of its own in this folder, for stores that read one certificate a file
    #[arg(long, value_name = "DIR", conflicts_with_all = ["install", "uninstall", "system"])]
    pub split: Option<PathBuf>,
    /// System to tell the steps for; this one when absent
    #[arg(long, value_enum)]
    pub system: Option<System>,
    /// Folder that stands for the root of the file system
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

/// A CA certificate with its PEM text.
type Member = (Inspected, String);

/// Runs the command.
pub async fn run(context: &Context, args: &TrustArgs) -> Result<Exit, Error> {
    let store = Store::new(&args.root);
    if args.uninstall {
        let only = match &args.ca {
            Some(path) => Some(read_file(path)?),
            None => None,
        };
        let removed = store.uninstall(only.as_deref()).map_err(CertsError::Trust)?;
        tell(context, "removed", &removed)?;
        return Ok(Exit::Success);
    }
    let members = match &args.ca {
        Some(path) => read_file(path)?,
        None => read_cluster(context).await?,
    };
    if let Some(folder) = &args.split {
        let written = store::split(folder, &members).map_err(CertsError::Trust)?;
        tell(context, "written", &written)?;
        return Ok(Exit::Success);
    }
    if args.install {
        let free = members.iter().find(|(one, _)| !is_limited(one));
        if let Some((one, _)) = free.filter(|_| !args.force) {
            return Err(CertsError::Unlimited {
                subject: one.subject.clone(),
            }
            .into());
        }
        let written = store.install(&members).map_err(CertsError::Trust)?;
        tell(context, "trusted", &written)?;
        return Ok(Exit::Success);
    }
    let system = args.system.unwrap_or_else(|| System::of_this_machine(&args.root));
    let file = args.ca.as_deref().unwrap_or(Path::new("silica-ca.crt"));
    let guide = guide::render(system, &members, file, args.ca.is_none());
    match context.printer.output() {
        Output::Text => context.printer.result(format!(
            "{}\n{}",
            members.iter().map(|(one, _)| describe(one)).collect::<String>(),
            guide.text()
        ))?,
        Output::Json => context.printer.json(&json!({
            "certificates": members.iter().map(|(one, _)| json!({
                "subject": one.subject,
                "fingerprint": one.fingerprint,
                "notAfter": one.not_after.date().to_string(),
                "permittedNames": one.permitted_names,
            })).collect::<Vec<_>>(),
            "system": system.title(),
            "trust": guide.trust,
            "undo": guide.undo,
        }))?,
    }
    Ok(Exit::Success)
}

/// The CA certificates of a file.
fn read_file(path: &Path) -> Result<Vec<Member>, Error> {
    let certificates = read_certificates(path)?;
    parse(path, &certificates)?;
    members(&as_pem(&certificates))
}

async fn read_cluster(context: &Context) -> Result<Vec<Member>, Error> {
    let cluster = context.cluster().await?;
    members(&read_bundle(&cluster).await?)
}

/// The CAs of a bundle that have not ended.
fn members(pem: &str) -> Result<Vec<Member>, Error> {
    let members = bundle::members(&[pem], OffsetDateTime::now_utc()).map_err(CertsError::Bundle)?;
    if members.is_empty() {
        return Err(CertsError::AllExpired.into());
    }
    Ok(members)
}

/// Whether it can sign for some names only.
fn is_limited(one: &Inspected) -> bool {
    one.permitted_names.is_some()
}

fn describe(one: &Inspected) -> String {
    let reach = match &one.permitted_names {
        Some(names) => format!(
            "{} and what is below; trusting it cannot harm any other site",
            names.join(", ")
        ),
        None => "NOTHING: the holder of its key can impersonate any site to this machine".to_owned(),
    };
    format!(
        "{}\n  SHA-256      {}\n  valid until  {}\n  limited to   {reach}\n",
        one.subject,
        one.display_fingerprint(),
        one.not_after.date(),
    )
}

fn tell(context: &Context, what: &'static str, files: &[PathBuf]) -> Result<(), Error> {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    match context.printer.output() {
        Output::Json => context.printer.json(&json!({what: files}))?,
        Output::Text if files.is_empty() => context.printer.info("nothing to remove"),
        Output::Text => context.printer.result(
            files
                .iter()
                .map(|file| format!("{what}: {file}"))
                .collect::<Vec<_>>()
                .join("\n"),
        )?,
    }
    Ok(())
}
