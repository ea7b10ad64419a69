//! `silica certs export`: the CA certificates that clients must trust, as text or
//! as files with the variables that point clients at them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::Error as CertsError;
use crate::{
    certificates::client_roots::{self, ClientRoots},
    cli::{context::Context, error::Error, exit::Exit},
    cluster::Cluster,
    commands::read_installed,
    facts, secrets,
};

/// The file with our CA alone, in the folder.
const OURS: &str = silica_api::names::CA_BUNDLE_KEY;

/// Flags of `silica certs export`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs export > silica-ca.crt
  eval \"$(silica certs export -o certs)\"

With -o, ca.crt has the CA of the installation alone, for clients that add it to the public
ones, and ca-bundle.crt both it and the CAs of this system, for those that replace them. What
is printed are the variables of Python, Node, curl, git, Deno and others, and the command for Java.")]
pub struct ExportArgs {
    /// Write ca.crt and ca-bundle.crt into this folder and print the variables for clients
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Exports the certificates.
pub async fn run(context: &Context, args: &ExportArgs) -> Result<Exit, Error> {
    let cluster = context.cluster().await?;
    let bundle = read_bundle(&cluster).await?;
    let Some(folder) = &args.output else {
        context.printer.result(bundle)?;
        return Ok(Exit::Success);
    };
    let roots = write(context, &folder.join(OURS), &bundle)?;
    context.printer.result(roots.lines())?;
    Ok(Exit::Success)
}

/// Writes both files, and says which.
pub(crate) fn write(context: &Context, file: &Path, bundle: &str) -> Result<ClientRoots, Error> {
    let roots = client_roots::write(file, bundle)?;
    let printer = &context.printer;
    printer.info(format!("wrote {}", roots.ours.display()));
    match &roots.bundle {
        Some(path) => printer.info(format!("wrote {}", path.display())),
        None => printer.warn(
            "this system has no public CAs: clients that are pointed at the CA of the installation trust that alone",
        ),
    }
    Ok(roots)
}

/// The CA certificates that clients have to be given; an error when they need none.
pub(super) async fn read_bundle(cluster: &Cluster) -> Result<String, Error> {
    read_installed(cluster).await?;
    let existing = facts::read_existing(cluster).await?;
    Ok(secrets::client_roots(&existing)
        .ok_or(CertsError::NoRoots)?
        .to_owned())
}
