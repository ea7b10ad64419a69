//! `silica certs import`: judges a certificate that somebody else issued and
//! puts it into service. Every reason against it is told at once; the former
//! certificate is served until the new one has passed, and again when it fails.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::core::ObjectMeta;
use serde_json::json;
use silica_api::{labels, names, types::Domain};
use silica_certs::{
    import::{self as judgement, Finding},
    pem,
    secret::PrivateKeyPem,
    verify,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::{
    error::Error as CertsError,
    inspect::system_roots,
    password::{self, KeyPasswordArgs},
};
use crate::{
    cli::Format,
    cluster::Cluster,
    commands::rotate_certs::{deliver, fingerprint_of, installed_domains},
    error::Error,
    exit::Exit,
    facts::{self, clock},
    inventory::{Entry, Inventory},
    lock,
    pipeline::write_inventory,
    report::Output,
    run::Context,
    secrets::{CERTIFICATE, PRIVATE_KEY, contents::CA_CERTIFICATE},
};

/// Flags of `silica certs import`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs import --cert fullchain.pem --key privkey.pem
  silica certs import --cert server.crt --chain intermediates.crt --key server.key --ca company-ca.crt
  silica certs import --cert fullchain.pem --key encrypted.pem --key-password-file password
  silica certs import --cert fullchain.pem --key privkey.pem --dry-run -d sandbox.example.com

The certificate has to cover every installed domain and its wildcard. Its key and
the order of its chain are checked before anything is written.")]
pub struct ImportArgs {
    #[command(flatten)]
    pub format: Format,
    /// Server certificate (PEM), alone or with its chain
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    #[command(flatten)]
    pub password: KeyPasswordArgs,
    /// Certificates of its issuers (PEM), in any order
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// CA that clients trust, for a CA that is not public
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Judge the files and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Domain to judge them for instead of those installed; takes no cluster
    #[arg(long, short, value_name = "NAME", requires = "dry_run")]
    pub domain: Vec<Domain>,
}

/// A certificate as it was given. No `Debug`: it holds a key.
pub(super) struct Given {
    pub(super) chain: String,
    pub(super) key: PrivateKeyPem,
    pub(super) ca: Option<String>,
}

/// How a certificate came here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// As files: the user is asked before it is served.
    Files,
    /// Ordered over ACME by the same command, which has asked. It is marked, so
    /// that the controller may renew it.
    Acme,
}

/// Who ends the TLS connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Front {
    /// The manager alone.
    Manager,
    /// Somebody else's software, as well or alone.
    Other,
}

impl Front {
    fn of(inventory: &Inventory) -> Self {
        let is_front = |entry: &Entry| ["Ingress", "Gateway"].contains(&entry.kind.as_str());
        if inventory.objects.iter().any(is_front) {
            Self::Other
        } else {
            Self::Manager
        }
    }
}

/// A certificate that passed.
struct Accepted {
    /// What the server sends.
    chain: String,
    /// The root, when it is not a public one.
    root: Option<String>,
    warnings: Vec<String>,
}

/// Imports the certificate.
pub async fn run(context: &Context, args: &ImportArgs) -> Result<Exit, Error> {
    // Before anything is asked of the cluster: files can be wrong without one.
    let given = read(args)?;
    if !args.domain.is_empty() {
        let now = OffsetDateTime::now_utc();
        let accepted = judge(&given, &args.domain, Front::Manager, &system_roots(), now)?;
        return tell(context, &accepted);
    }
    let cluster = context.cluster().await?;
    if args.dry_run {
        let inventory = facts::read_inventory(&cluster)
            .await?
            .ok_or(Error::NotInstalled)?;
        let accepted = judge_for(&cluster, &given, &inventory).await?;
        return tell(context, &accepted);
    }
    // Boxed: the future is large.
    let work = Box::pin(serve(context, &cluster, &given, Origin::Files));
    lock::exclusive(&cluster, work).await
}

/// Judges the certificate, writes it, and waits until it is served.
pub(super) async fn serve(
    context: &Context,
    cluster: &Cluster,
    given: &Given,
    origin: Origin,
) -> Result<Exit, Error> {
    let printer = &context.printer;
    let mut inventory = facts::read_inventory(cluster).await?.ok_or(Error::NotInstalled)?;
    let existing = facts::read_existing(cluster).await?;
    let domains = installed_domains(&inventory)?;
    let former = existing.secrets.get(names::TLS_SECRET);
    if let Some(former) = former.filter(|former| facts::is_by_cert_manager(&former.metadata)) {
        let annotations = former.metadata.annotations.as_ref();
        let certificate = annotations.and_then(|map| map.get("cert-manager.io/certificate-name"));
        return Err(CertsError::CertManager {
            certificate: certificate.cloned().unwrap_or_default(),
        }
        .into());
    }
    printer.start("Verdict");
    let accepted = judge_for(cluster, given, &inventory).await?;
    printer.done("the certificate can be served");
    for warning in &accepted.warnings {
        printer.warn(warning);
    }
    if origin == Origin::Files {
        context
            .confirm("Serve this certificate instead of the present one?")
            .await?;
    }
    // From now on the Secret is not the installation's: first out of the list
    // of its objects, or the next installation would remove it.
    let entry = Entry::core("Secret", "secrets", names::TLS_SECRET);
    let was_listed = inventory.objects.remove(&entry);
    if was_listed {
        write_inventory(cluster, &inventory).await?;
    }
    let fingerprint = fingerprint_of(&accepted.chain)?;
    let mut secret = secret(&accepted, given.key.expose());
    if origin == Origin::Acme {
        let mark = (labels::ACME_FINGERPRINT.to_owned(), fingerprint.clone());
        secret.metadata.annotations = Some(BTreeMap::from([mark]));
    }
    let delivered = deliver::replace(context, cluster, &domains, &secret, former, &fingerprint).await;
    if was_listed && delivered.is_err() {
        inventory.objects.insert(entry);
        write_inventory(cluster, &inventory).await?;
    }
    let delivered = delivered?;
    match printer.output() {
        Output::Text => printer.result(format!("SHA-256 {fingerprint}"))?,
        Output::Json => printer.json(&json!({
            "fingerprint": fingerprint,
            "servedAfterMilliseconds": u64::try_from(delivered.took.as_millis()).unwrap_or(u64::MAX),
            "routes": delivered.routes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "warnings": accepted.warnings,
        }))?,
    }
    Ok(Exit::Success)
}

/// The files that are read; everything that is wrong with them is told at once.
#[derive(Default)]
struct Reader {
    reasons: Vec<String>,
}

impl Reader {
    /// The text of a PEM file; `command` is the subcommand of openssl for such files.
    fn text(&mut self, path: &Path, command: &'static str) -> Option<Zeroizing<String>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) => {
                self.refuse(path, format!("it cannot be read: {error}"));
                return None;
            }
        };
        let text = std::str::from_utf8(&bytes).ok().map(ToOwned::to_owned);
        let text = text.filter(|text| !is_der(&bytes) || text.contains("-----BEGIN "));
        if text.is_none() {
            self.reasons.push(not_pem(path, &bytes, command).to_string());
        }
        text.map(Zeroizing::new)
    }

    /// The text of a file with certificates.
    fn certificates(&mut self, path: &Path) -> Option<Zeroizing<String>> {
        let text = self.text(path, "x509")?;
        match silica_certs::inspect::parse_chain(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                self.refuse(path, whole(&error));
                None
            }
        }
    }

    fn key(&mut self, path: &Path, password: Option<&[u8]>) -> Option<PrivateKeyPem> {
        let text = self.text(path, "pkey")?;
        match PrivateKeyPem::open(&text, password) {
            Ok(key) => Some(key),
            Err(pem::Error::Encrypted) => {
                self.refuse(path, format!("the private key is encrypted; {}", password::HINT));
                None
            }
            Err(error) => {
                self.refuse(path, whole(&error));
                None
            }
        }
    }

    fn refuse(&mut self, path: &Path, reason: impl Display) {
        self.reasons.push(format!("{}: {reason}", path.display()));
    }
}

/// Whether it begins as an ASN.1 sequence does.
fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

/// What to tell of a file that is not PEM.
fn not_pem(path: &Path, bytes: &[u8], command: &'static str) -> CertsError {
    // RFC 7292 section 4: a file of PKCS#12 begins with its version, 3, as no
    // certificate and no key does. The sequence around it has up to 5 bytes.
    let head = bytes.get(2..8).unwrap_or_default();
    let path = path.to_owned();
    if is_der(bytes) && head.windows(3).any(|part| part == [2, 1, 3]) {
        CertsError::Pkcs12 { path }
    } else {
        CertsError::NotPem { path, command }
    }
}

/// Reads the files; all that are damaged are named at once.
fn read(args: &ImportArgs) -> Result<Given, Error> {
    let mut reader = Reader::default();
    let password = match args.password.read() {
        Ok(password) => password,
        Err(error) => {
            reader.reasons.push(whole(&error));
            None
        }
    };
    let chain = reader.certificates(&args.cert);
    let more = args.chain.as_deref().map(|path| reader.certificates(path));
    let key = reader.key(&args.key, password.as_deref().map(Vec::as_slice));
    let ca = args.ca.as_deref().map(|path| reader.certificates(path));
    match (chain, key) {
        (Some(chain), Some(key)) if reader.reasons.is_empty() => {
            let more = more.flatten().map(|more| format!("\n{}", *more));
            Ok(Given {
                chain: format!("{}{}", *chain, more.unwrap_or_default()),
                key,
                ca: ca.flatten().map(|ca| ca.as_str().to_owned()),
            })
        }
        _ => Err(CertsError::Refused {
            reasons: reader.reasons,
            is_input: true,
        }
        .into()),
    }
}

fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The verdict of a dry run.
fn tell(context: &Context, accepted: &Accepted) -> Result<Exit, Error> {
    let printer = &context.printer;
    let fingerprint = fingerprint_of(&accepted.chain)?;
    match printer.output() {
        Output::Text => {
            for warning in &accepted.warnings {
                printer.warn(warning);
            }
            printer.result(format!("the certificate can be served, SHA-256 {fingerprint}"))?;
        }
        Output::Json => printer.json(&json!({"fingerprint": fingerprint, "warnings": accepted.warnings}))?,
    }
    Ok(Exit::Success)
}

/// Judges the files for what is installed.
async fn judge_for(cluster: &Cluster, given: &Given, inventory: &Inventory) -> Result<Accepted, Error> {
    let domains = installed_domains(inventory)?;
    let skew = Duration::seconds(clock::read(cluster).await?.unwrap_or_default());
    let judged = |now| judge(given, &domains, Front::of(inventory), &system_roots(), now);
    Ok(judge_by_both_clocks(judged, OffsetDateTime::now_utc(), skew)?)
}

/// Judges by this machine's clock and then by the cluster's, which is ahead of it by
/// the skew: clients may have either. Pure.
fn judge_by_both_clocks(
    judged: impl Fn(OffsetDateTime) -> Result<Accepted, CertsError>,
    now: OffsetDateTime,
    skew: Duration,
) -> Result<Accepted, CertsError> {
    let accepted = judged(now)?;
    match judged(now.saturating_add(skew)) {
        Ok(_) => Ok(accepted),
        Err(CertsError::Refused { reasons, is_input }) => Err(CertsError::Refused {
            reasons: reasons
                .into_iter()
                .map(|reason| by_other_clock(&reason, skew))
                .collect(),
            is_input,
        }),
        Err(error) => Err(error),
    }
}

fn by_other_clock(reason: &str, skew: Duration) -> String {
    let side = if skew.is_negative() { "behind" } else { "ahead of" };
    let seconds = skew.whole_seconds().unsigned_abs();
    format!("{reason}, by the cluster's clock, which is {seconds} s {side} this machine's")
}

/// Judges the files for apex and wildcard of the domains. Pure.
fn judge(
    given: &Given,
    domains: &[Domain],
    front: Front,
    public_roots: &str,
    now: OffsetDateTime,
) -> Result<Accepted, CertsError> {
    let ordered = judgement::ordered(&given.chain)?;
    // Without a CA of its own, the root that came along is the measure.
    let with_root = format!(
        "{}{}",
        ordered.served,
        ordered.root.as_deref().unwrap_or_default()
    );
    let review = judgement::review(&with_root, given.key.expose(), domains, given.ca.as_deref(), now);
    let is_refusal = |finding: &Finding| {
        // The manager itself serves it well.
        finding.is_refusal() || (*finding == Finding::Ed25519 && front == Front::Other)
    };
    let (refusals, notices): (Vec<_>, Vec<_>) =
        review.findings.iter().partition(|finding| is_refusal(finding));
    if !refusals.is_empty() {
        return Err(CertsError::Refused {
            reasons: refusals.iter().map(ToString::to_string).collect(),
            is_input: false,
        });
    }
    let is_public = domains
        .iter()
        .all(|domain| verify::chain(&ordered.served, public_roots, domain.as_ref(), now).is_ok());
    let mut warnings: Vec<String> = notices
        .into_iter()
        // It is taken care of: the root is left out.
        .filter(|finding| !matches!(finding, Finding::RootIncluded))
        .map(ToString::to_string)
        .collect();
    if ordered.was_changed {
        warnings.push("the chain was put in order, from the server's certificate upwards".to_owned());
    }
    if !is_public {
        warnings.push("no CA of this machine has issued it; clients must be given its CA".to_owned());
    }
    Ok(Accepted {
        chain: ordered.served,
        root: given.ca.clone().or(ordered.root).filter(|_| !is_public),
        warnings,
    })
}

/// Without our label: `install` judges it and never writes it.
fn secret(accepted: &Accepted, key: &str) -> Secret {
    let mut data = BTreeMap::from([
        (CERTIFICATE.to_owned(), accepted.chain.clone()),
        (PRIVATE_KEY.to_owned(), key.to_owned()),
    ]);
    if let Some(root) = &accepted.root {
        data.insert(CA_CERTIFICATE.to_owned(), root.clone());
    }
    Secret {
        metadata: ObjectMeta {
            name: Some(names::TLS_SECRET.into()),
            namespace: Some(names::NAMESPACE.into()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        data: Some(
            data.into_iter()
                .map(|(key, value)| (key, ByteString(value.into_bytes())))
                .collect(),
        ),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
