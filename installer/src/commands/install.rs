//! `silica install`: from settings to a running sandbox.

use std::path::PathBuf;

use clap::Args;

use crate::{
    certificates::env_block::{self, EnvBlock},
    cli::{
        context::Context,
        error::Error,
        exit::Exit,
        report::{Output, ReportForm},
    },
    cluster::inventory::Entry,
    commands::certs::export,
    pipeline::{Prepared, Verified},
    settings::{Flags, env},
};

const EXAMPLES: &str = "\
Examples:
  silica install --domain sandbox.example.com --ingress-class nginx
  silica install --domain sandbox.example.com --expose direct --service-type LoadBalancer
  silica install --domain sandbox.example.com --expose gateway --gateway-class envoy
  silica install --domain sandbox.example.com --expose direct --service-type HostPort --manager-replicas 1
  silica install --domain sandbox.example.com --registry registry.example.com/silica --create-pull-secret
  silica install --domain sandbox.example.com --images configmap
  silica install --values silica.yaml --dry-run --exit-code
  silica install --manager-replicas 5        # later: the other values stay as they are
  silica install --domain silica.localhost --expose direct --service-type NodePort --node-port-https 30443 --yes";

/// Flags of `silica install` and `silica render`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InstallArgs {
    /// Settings file; `-` is standard input
    #[arg(long, short = 'f', value_name = "FILE", env = env::VALUES)]
    pub values: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
    /// Start from the defaults instead of what an earlier run kept in the cluster
    #[arg(long)]
    pub reset_values: bool,

    /// File with the administrator's API key, `-` for standard input; generated when absent (the variable SILICA_ADMIN_KEY works too)
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub admin_key_file: Option<PathBuf>,
    /// Show the API key at the end
    #[arg(long, help_heading = "Access")]
    pub show_key: bool,
    /// Write the environment block for the SDKs to this file, readable by you only
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub env_file: Option<PathBuf>,
    /// Write the CA certificate to this file
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub ca_file: Option<PathBuf>,

    /// Socket of containerd, when it is not at a usual place
    #[arg(long, value_name = "SOCKET", env = env::CONTAINERD_ADDRESS, help_heading = "Images")]
    pub containerd_address: Option<PathBuf>,

    /// Show what would change and stop
    #[arg(long, help_heading = "Behaviour")]
    pub dry_run: bool,
    /// With --dry-run: end with 2 when something would change
    #[arg(long, requires = "dry_run", help_heading = "Behaviour")]
    pub exit_code: bool,
    /// Take over the namespace, definitions and objects that something else made; `uninstall` removes such objects
    #[arg(long, help_heading = "Behaviour")]
    pub adopt: bool,
    /// Overwrite fields that somebody else changed
    #[arg(long, help_heading = "Behaviour")]
    pub force_conflicts: bool,
    /// Only apply: neither wait for the pods nor verify anything
    #[arg(long, help_heading = "Behaviour")]
    pub no_wait: bool,
    /// Leave a new version that does not become ready, instead of putting the former one back
    #[arg(long, help_heading = "Behaviour")]
    pub no_rollback: bool,
    /// Do not run a sandbox at the end
    #[arg(long, help_heading = "Behaviour")]
    pub skip_verify: bool,
    /// Form of the results on standard output; `short` shows of the checks only those with problems
    #[arg(long, short, value_enum, default_value_t)]
    pub output: ReportForm,
}

/// Runs the whole pipeline.
pub async fn run(context: &Context, args: &InstallArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    let compared = Prepared::read(context, &cluster, args)
        .await?
        .compare(context, &cluster)
        .await?;
    if args.dry_run {
        match printer.output() {
            Output::Text => printer.result(compared.preview()?)?,
            Output::Json => printer.json(&compared.to_json()?)?,
        }
        return Ok(if args.exit_code && compared.changes_anything() {
            Exit::Changes
        } else {
            Exit::Success
        });
    }
    if compared.changes_anything() {
        printer.info(compared.describe());
        context
            .confirm(&format!("Write this to the cluster at {}?", cluster.server))
            .await?;
    }
    let applied = Box::pin(compared.apply(context, &cluster)).await?;
    let verified = if args.no_wait {
        printer.warn("not waited for and not verified (--no-wait); see: silica status");
        let kept = applied.kept_leftovers();
        if !kept.is_empty() {
            let titles: Vec<String> = kept.iter().map(Entry::title).collect();
            printer.warn(format!(
                "kept, since pods of the former version may need it: {}; silica install without --no-wait removes it",
                titles.join(", ")
            ));
        }
        applied.without_proof()?
    } else {
        let ready = Box::pin(applied.wait(context, &cluster)).await?;
        Box::pin(ready.verify(context, &cluster)).await?
    };

    let ca_file = args
        .ca_file
        .as_deref()
        .filter(|_| !verified.client_roots.is_empty());
    let roots = match ca_file {
        Some(path) => Some(export::write(context, path, &verified.client_roots)?),
        None => None,
    };
    let block = EnvBlock {
        domain: verified.domain.clone(),
        api_key: verified.admin_key.clone(),
        roots,
    };
    if let Some(path) = &args.env_file {
        env_block::write_file(path, &block.render(), env_block::PRIVATE)?;
    }
    match printer.output() {
        Output::Text => printer.result(ending(&verified, &block, args))?,
        Output::Json => printer.json(&verified.to_json())?,
    }
    Ok(Exit::Success)
}

/// What is known of the installation: nothing that was not tried is claimed.
const fn state(no_wait: bool, skip_verify: bool) -> &'static str {
    match (no_wait, skip_verify) {
        (true, _) => "is applied, neither waited for nor verified, for",
        (false, true) => "is up, and was not verified (--skip-verify), for",
        (false, false) => "serves",
    }
}

/// What to do next.
fn ending(verified: &Verified, block: &EnvBlock, args: &InstallArgs) -> String {
    let records = match verified.missing_records.as_slice() {
        [] => String::new(),
        missing => {
            let zone = silica_dns::render_zone(missing);
            format!("\nDNS records to create:\n{zone}Then check with: silica verify-dns\n")
        }
    };
    let environment = match &args.env_file {
        Some(path) => format!("source {}\n", path.display()),
        None if args.show_key => format!("\n{}", block.render()),
        None => "eval \"$(silica env --ca-file silica-ca.crt)\"\n".to_owned(),
    };
    let state = state(args.no_wait, args.skip_verify);
    let template = verified.template.as_deref().unwrap_or("TEMPLATE");
    format!(
        "\nSilica {state} {}.\n{records}\nEnvironment for the E2B SDKs: {environment}\n\
         Try it:\n  pip install e2b\n  python3 -c 'from e2b import Sandbox; s = Sandbox.create(\"{template}\"); \
         print(s.commands.run(\"echo hello\").stdout); s.kill()'\n\n\
         Replace the certificate: silica rotate-certs\nRemove everything:       silica uninstall\n",
        verified.domain
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_tried_is_said_to_serve() {
        assert_eq!(state(false, false), "serves");
        for (no_wait, skip_verify) in [(true, false), (false, true), (true, true)] {
            assert!(!state(no_wait, skip_verify).contains("serves"));
        }
    }
}
