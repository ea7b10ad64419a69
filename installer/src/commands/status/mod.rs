//! `silica status`: what is installed, and whether it is well.

mod certificates;
mod components;
mod pools;

use clap::Args;
use serde_json::{Value, json};
use silica_api::names;
use time::OffsetDateTime;

pub(crate) use self::pools::read as read_pools;
use self::{certificates::certificate, components::Component};

use crate::{
    cli::{
        check::{Check, Report},
        context::Context,
        error::Error,
        exit::Exit,
        flags::Format,
        report::{self, Output},
    },
    cluster::{
        Cluster,
        inventory::{Inventory, State, Verification},
    },
    commands::read_installed,
    exposure::{
        address::Addresses,
        exposed::{self, Wanted},
        gateway::{self, GatewayState},
    },
    facts::{self, Existing},
};

/// Flags of `silica status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica status
  silica status -o json | jq .checks")]
pub struct StatusArgs {
    #[command(flatten)]
    pub format: Format,
}

/// What was seen of an installation.
pub(crate) struct Seen {
    pub(crate) inventory: Inventory,
    pub(crate) existing: Existing,
    pub(crate) addresses: Addresses,
    components: Vec<Component>,
    pub(crate) report: Report,
}

/// Shows the state; exit code 79 when something is wrong.
pub async fn run(context: &Context, _: &StatusArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let seen = look(&context.cluster().await?).await?;
    match printer.output() {
        Output::Json => printer.json(&seen.to_json())?,
        Output::Text => {
            let mut lines: Vec<String> = seen.report.checks.iter().flat_map(report::lines).collect();
            let routes = seen.routes();
            if !routes.is_empty() {
                lines.push(format!("  reachable at {}", routes.join(", ")));
            }
            printer.result(lines.join("\n"))?;
        }
    }
    Ok(if seen.report.is_fine() {
        Exit::Success
    } else {
        Exit::Findings
    })
}

/// Looks at an installation.
pub(crate) async fn look(cluster: &Cluster) -> Result<Seen, Error> {
    let inventory = read_installed(cluster).await?;
    let existing = facts::read_existing(cluster).await?;
    let addresses = Addresses::read(cluster).await?;
    let now = OffsetDateTime::now_utc();
    let components = components::read(cluster).await?;
    let checks = checks(cluster, &inventory, &components, &existing, &addresses, now).await?;
    Ok(Seen {
        inventory,
        existing,
        addresses,
        components,
        report: Report { checks },
    })
}

impl Seen {
    fn routes(&self) -> Vec<String> {
        self.addresses.routes().iter().map(ToString::to_string).collect()
    }

    /// As `silica status` shows it to programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "version": self.inventory.version,
            "silica": env!("CARGO_PKG_VERSION"),
            "domains": self.inventory.domains,
            "components": self.components,
            "routes": self.routes(),
            "verified": self.inventory.verified,
            "checks": self.report.checks,
        })
    }
}

/// All parts of an installation, and what each of its addresses serves.
async fn checks(
    cluster: &Cluster,
    inventory: &Inventory,
    components: &[Component],
    existing: &Existing,
    addresses: &Addresses,
    now: OffsetDateTime,
) -> Result<Vec<Check>, Error> {
    let mut checks = vec![installation(inventory)];
    checks.extend(skew(&inventory.version, env!("CARGO_PKG_VERSION")));
    checks.extend(components.iter().map(Component::check));
    for (name, what) in [
        (names::TLS_SECRET, "server certificate"),
        (names::CA_SECRET, "certificate authority"),
    ] {
        checks.extend(certificate(existing, name, what, now));
    }
    checks.extend(gateway::read(cluster).await?.map(gateway_check));
    let wanted = Wanted::new(inventory.domains.clone(), existing);
    checks.extend(exposed::look(&addresses.routes(), &wanted).await);
    checks.push(pools::check(read_pools(cluster).await?.as_deref()));
    checks.push(verification(inventory.verified.as_ref()));
    Ok(checks)
}

/// Tells a silica of another version than the installation's.
fn skew(installed: &str, own: &str) -> Option<Check> {
    (installed != own).then(|| {
        Check::warn(
            "version",
            format!("this silica is {own}"),
            format!("the installation was made by {installed}"),
        )
        .hint("silica install brings the installation to this version; else use the silica that made it")
    })
}

/// The last proof that it works.
fn verification(last: Option<&Verification>) -> Check {
    let id = "verification";
    let hint = "silica install runs a sandbox at its end";
    let Some(last) = last else {
        return Check::skip(id, "last verification", "none since the last change").hint(hint);
    };
    let title = format!("last verification: {} by silica {}", last.time, last.version);
    match (&last.failure, &last.template) {
        (Some(why), _) => Check::fail(id, title, why.clone()).hint(hint),
        (None, Some(template)) => Check::pass(id, format!("{title}, template {template} ran a command")),
        (None, None) => Check::pass(id, format!("{title}, without a template to try")),
    }
}

fn installation(inventory: &Inventory) -> Check {
    let id = "installation";
    let title = format!(
        "silica {} for {}",
        inventory.version,
        inventory.domains.join(", ")
    );
    match inventory.state {
        State::Complete => Check::pass(id, title),
        State::Applying => Check::fail(id, title, "an installation was interrupted")
            .hint("run the same silica install again, it resumes"),
        State::RollingOut => Check::warn(
            id,
            title,
            "everything is written, and no run has waited until it serves; what the former version had beyond it is still there",
        )
        .hint("silica install, which waits and removes the rest"),
        State::Removing => {
            Check::fail(id, title, "a removal was interrupted").hint("run silica uninstall again, it resumes")
        }
    }
}

fn gateway_check(state: GatewayState) -> Check {
    let id = "gateway";
    if state.problems.is_empty() {
        return Check::pass(id, format!("{} takes requests", state.title));
    }
    Check::fail(id, state.title, state.problems.join("; ")).hint(format!(
        "kubectl describe gateway,httproute -n {}",
        names::NAMESPACE
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::check::Verdict;

    #[test]
    fn another_version_of_silica_is_told() {
        assert!(skew("1.0.0", "1.0.0").is_none());
        let check = skew("1.0.0", "1.1.0").unwrap();
        assert_eq!(check.verdict, Verdict::Warn);
        assert!(check.title.contains("1.1.0") && check.detail.contains("1.0.0"));
    }

    #[test]
    fn the_last_verification_is_told_with_its_outcome() {
        let last = |failure: Option<&str>| Verification {
            time: "2026-11-25T00:00:00Z".into(),
            version: "1".into(),
            template: Some("base".into()),
            failure: failure.map(str::to_owned),
        };
        assert_eq!(verification(None).verdict, Verdict::Skip);
        assert_eq!(
            verification(Some(&last(Some("no answer")))).verdict,
            Verdict::Fail
        );
        let good = verification(Some(&last(None)));
        assert_eq!(good.verdict, Verdict::Pass);
        assert!(
            good.title.contains("2026-11-25") && good.title.contains("base"),
            "{}",
            good.title
        );
    }

    #[test]
    fn an_interrupted_installation_is_a_finding() {
        let at = |state| {
            installation(&Inventory {
                state,
                version: "1".into(),
                domains: Vec::new(),
                values: serde_json::Map::new(),
                objects: BTreeSet::new(),
                verified: None,
            })
            .verdict
        };
        assert_eq!(
            (at(State::Complete), at(State::Applying), at(State::Removing)),
            (Verdict::Pass, Verdict::Fail, Verdict::Fail)
        );
        assert_eq!(at(State::RollingOut), Verdict::Warn);
    }
}
