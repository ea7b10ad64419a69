//! `silica doctor`: what a text means, or what is wrong with the installation.

mod dns;

use std::io::Read as _;

use clap::Args;
use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use silica_api::{names, types::Domain};

use crate::{
    cli::{check::Verdict, context::Context, error::Error, exit::Exit, flags::Format, report::Output},
    cluster::{Cluster, request},
    commands::status::{self, Seen},
    doctor::{self, Case},
    exposure::{
        address::Addresses,
        https::{Client, Trust},
    },
    facts::Existing,
    pipeline::wait,
    secrets,
};

/// Flags of `silica doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica doctor                                   # looks at the installation
  silica doctor 'invalid peer certificate: UnknownIssuer'
  python agent.py 2>&1 | silica doctor -
  silica doctor --list > errors.md")]
pub struct DoctorArgs {
    #[command(flatten)]
    pub format: Format,
    /// Text of an error that somebody saw; `-` reads it from standard input
    #[arg(value_name = "TEXT")]
    pub text: Vec<String>,
    /// Print all known errors as Markdown
    #[arg(long, conflicts_with = "text")]
    pub list: bool,
}

/// Something that is wrong, and what the catalogue knows of it.
struct Finding {
    /// Where it was seen.
    place: String,
    /// What was seen.
    text: String,
    /// What helps, when the check itself knows.
    hint: Option<String>,
}

impl Finding {
    fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
            hint: None,
        }
    }
}

/// Explains; exit code 79 when something is wrong, or when a text is not known.
pub async fn run(context: &Context, args: &DoctorArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    if args.list {
        printer.result(doctor::to_markdown())?;
        return Ok(Exit::Success);
    }
    let findings = match args.text.as_slice() {
        [] => {
            let cluster = context.cluster().await?;
            let seen = status::look(&cluster).await?;
            examine(&cluster, &seen).await?
        }
        [dash] if dash == "-" => vec![Finding::new("the given text", read_input()?)],
        words => vec![Finding::new("the given text", words.join(" "))],
    };
    let explained = explain(&findings);
    match printer.output() {
        Output::Json => printer.json(&all_to_json(&explained))?,
        Output::Text if explained.is_empty() => printer.result("nothing is wrong")?,
        Output::Text => {
            let texts: Vec<String> = explained
                .iter()
                .map(|(finding, cases)| to_text(finding, cases))
                .collect();
            printer.result(texts.join("\n"))?;
        }
    }
    // A text that is explained is a success; an installation with findings is not.
    let is_understood = !args.text.is_empty() && explained.iter().all(|(_, cases)| !cases.is_empty());
    Ok(if explained.is_empty() || is_understood {
        Exit::Success
    } else {
        Exit::Findings
    })
}

/// What is wrong with the installation, as `silica doctor` tells it to programs.
pub(crate) async fn read_json(cluster: &Cluster, seen: &Seen) -> Result<Value, Error> {
    let findings = examine(cluster, seen).await?;
    Ok(all_to_json(&explain(&findings)))
}

/// What the catalogue knows of each.
fn explain(findings: &[Finding]) -> Vec<(&Finding, Vec<&'static Case>)> {
    findings
        .iter()
        .map(|finding| (finding, doctor::recognise(&finding.text)))
        .collect()
}

fn read_input() -> Result<String, Error> {
    /// The end of a log tells more than its beginning; this is plenty.
    const MOST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(MOST)
        .read_to_end(&mut bytes)
        .map_err(Error::ReadInput)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn all_to_json(explained: &[(&Finding, Vec<&Case>)]) -> Value {
    let findings: Vec<Value> = explained
        .iter()
        .map(|(finding, cases)| to_json(finding, cases))
        .collect();
    json!({ "findings": findings })
}

fn to_json(finding: &Finding, cases: &[&Case]) -> Value {
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| json!({"id": case.id, "cause": case.cause, "help": case.help}))
        .collect();
    json!({"place": finding.place, "text": finding.text, "hint": finding.hint, "cases": cases})
}

/// Texts of users may be whole logs: only what was recognised is of interest.
fn to_text(finding: &Finding, cases: &[&Case]) -> String {
    const SHOWN: usize = 3;
    let mut lines = Vec::new();
    if finding.text.len() < 500 {
        lines.push(format!("✗ {}: {}", finding.place, finding.text.trim()));
    } else {
        lines.push(format!("✗ {}", finding.place));
    }
    for case in cases.iter().take(SHOWN) {
        lines.push(format!("    cause: {} [{}]", case.cause, case.id));
        lines.extend(case.help.iter().map(|help| format!("    help:  {help}")));
    }
    if let Some(hint) = &finding.hint {
        lines.push(format!("    help:  {hint}"));
    } else if cases.is_empty() {
        lines.push("    no known cause; `silica doctor --list` shows all that is known".to_owned());
    }
    lines.join("\n")
}

/// Looks at everything that can be wrong with an installation, and goes on after a finding.
async fn examine(cluster: &Cluster, seen: &Seen) -> Result<Vec<Finding>, Error> {
    let checks = seen.report.checks.iter();
    let mut findings: Vec<Finding> = checks
        .filter(|check| matches!(check.verdict, Verdict::Fail | Verdict::Warn))
        .map(|check| Finding {
            place: check.title.clone(),
            text: check.detail.clone(),
            hint: check.hint.clone(),
        })
        .collect();
    for name in [names::CONTROLLER, names::MANAGER] {
        let trouble = wait::trouble_of(cluster, names::NAMESPACE, name).await;
        findings.extend(trouble.map(|text| Finding::new(format!("pods of {name}"), text)));
    }
    let domains: Vec<Domain> = seen
        .inventory
        .domains
        .iter()
        .filter_map(|domain| domain.parse().ok())
        .collect();
    if let Some(domain) = domains.first() {
        findings.extend(ways_in(cluster, &seen.addresses, domain, &seen.existing).await);
    }
    for domain in &domains {
        findings.extend(dns::look(domain, &seen.addresses).await);
    }
    findings.extend(pools(cluster).await?);
    findings.extend(events(cluster).await?);
    Ok(findings)
}

/// Every address is tried by itself: one that works hides none that does not. Those that do not
/// get as far as an answer are told by the checks of the served certificate.
async fn ways_in(
    cluster: &Cluster,
    addresses: &Addresses,
    domain: &Domain,
    existing: &Existing,
) -> Vec<Finding> {
    let trust = Trust::of(secrets::client_roots(existing));
    let mut findings = Vec::new();
    for route in addresses.routes() {
        let place = format!("https://{} at {route}", domain.api_host());
        let answer = match Client::new(cluster, route, trust) {
            Ok(client) => {
                client
                    .request(
                        http::Method::GET,
                        &domain.api_host(),
                        "/health",
                        http::HeaderMap::new(),
                        "",
                    )
                    .await
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => findings.push(Finding::new(place, format!("status {}", answer.status))),
            Err(_) => {}
        }
    }
    findings
}

/// Pools without a free sandbox that should have some, with the reason of their sandboxes.
async fn pools(cluster: &Cluster) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    // That the definition is missing is a finding of its own.
    for set in status::read_pools(cluster).await?.unwrap_or_default() {
        let available = set.status.as_ref().map_or(0, |status| status.available_replicas);
        let (Some(namespace), Some(name)) = (set.metadata.namespace, set.metadata.name) else {
            continue;
        };
        if set.spec.replicas == 0 || available > 0 {
            continue;
        }
        let why = wait::trouble_of_pool(cluster, &namespace, &name)
            .await
            .unwrap_or_else(|| "no reason is told".to_owned());
        findings.push(Finding {
            hint: Some(format!(
                "kubectl describe sandboxset,sandboxes,pods -n {namespace}"
            )),
            ..Finding::new(
                format!(
                    "SandboxSet {namespace}/{name}: 0 of {} are free",
                    set.spec.replicas
                ),
                why,
            )
        });
    }
    Ok(findings)
}

/// The last warnings about our own objects, each text once.
async fn events(cluster: &Cluster) -> Result<Vec<Finding>, Error> {
    const SHOWN: usize = 5;
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let warnings = ListParams::default().fields("type=Warning");
    let title = format!("the Events of {}", names::NAMESPACE);
    let events = api.list(&warnings).await.map_err(request("list", title))?;
    let mut findings: Vec<Finding> = Vec::new();
    for event in events.into_iter().rev() {
        let Some(text) = event.message else { continue };
        // Only what the catalogue explains: warnings of a start that went on well are normal.
        if findings.iter().any(|known| known.text == text) || doctor::recognise(&text).is_empty() {
            continue;
        }
        let object = event.involved_object;
        let name = object.name.unwrap_or_default();
        findings.push(Finding::new(
            format!("{} {name}", object.kind.unwrap_or_default()),
            text,
        ));
        if findings.len() == SHOWN {
            break;
        }
    }
    Ok(findings)
}
