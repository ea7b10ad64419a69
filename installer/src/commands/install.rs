//! `silica install`: from settings to a running sandbox.

use crate::{
    certificates::env_block::{self, EnvBlock},
    cli::{context::Context, error::Error, exit::Exit, report::Output},
    cluster::inventory::Entry,
    commands::certs::export,
    pipeline::{Prepared, Verified},
    settings::InstallArgs,
};

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
