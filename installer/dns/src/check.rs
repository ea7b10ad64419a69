//! One check: every view at the same time, then the judgement.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::future::{OptionFuture, join, join_all};
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RecordType;

use crate::answer::Found;
use crate::caa;
use crate::compare;
use crate::exchange::{self, Mode};
use crate::name::{self, BadName, absolute};
use crate::probe::{self, Probe, Purpose, is_localhost};
use crate::records;
use crate::report::{ProbeReport, Report, SCHEMA, Severity, ViewReport, ZoneReport};
use crate::verdict::{self, Expected, Targets, Verdict};
use crate::view::authority::{self, Zone};
use crate::view::cluster::ClusterDns;
use crate::view::system::{self, System, SystemChoice};
use crate::view::{Seen, ViewKind, cluster, libc, server};

/// Resolvers that everybody knows.
pub const PUBLIC: [SocketAddr; 3] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), authority::PORT),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), authority::PORT),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)), authority::PORT),
];

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The domain or an expected host name is not a DNS name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The resolver of this machine cannot be used.
    #[error(transparent)]
    System(#[from] system::Error),
}

/// What to check.
#[derive(Clone, Debug)]
pub struct Request {
    /// The domain, without wildcard.
    pub domain: String,
    /// Where it should lead.
    pub expected: Vec<Expected>,
    /// The views to look through.
    pub views: BTreeSet<ViewKind>,
    /// What stands for this machine.
    pub system: SystemChoice,
    /// Chosen resolvers.
    pub resolvers: Vec<SocketAddr>,
    /// Public resolvers.
    pub public: Vec<SocketAddr>,
    /// Port of the zone's name servers.
    pub authority_port: u16,
    /// The CA that has to be permitted, as `letsencrypt.org`.
    pub issuer: Option<String>,
    /// How long one question may take, retries included.
    pub timeout: Duration,
}

impl Request {
    /// A check through this machine's resolver alone.
    pub fn new(domain: impl Into<String>, expected: Vec<Expected>) -> Self {
        Self {
            domain: domain.into(),
            expected,
            views: BTreeSet::from([ViewKind::System]),
            system: SystemChoice::default(),
            resolvers: Vec::new(),
            public: Vec::new(),
            authority_port: authority::PORT,
            issuer: None,
            timeout: Duration::from_secs(2),
        }
    }

    fn wants(&self, kind: ViewKind) -> bool {
        self.views.contains(&kind)
    }
}

/// Checks the domain, `api.`, a random name and a name in the form of a sandbox
/// address, through every view at the same time. Trouble with DNS is a verdict in
/// the report; an error means that nothing could be asked at all.
pub async fn verify(request: &Request, cluster_dns: Option<&dyn ClusterDns>) -> Result<Report, Error> {
    let typed = request.domain.strip_suffix('.').unwrap_or(&request.domain);
    let domain = name::text(&absolute(typed)?).to_ascii_lowercase();
    let probes = probe::probes(&domain, rand::random());
    let names = probes
        .iter()
        .map(|probe| absolute(&probe.name))
        .collect::<Result<Vec<Name>, BadName>>()?;
    let system = System::new(&request.system, request.timeout)?;
    // Who can be asked about the rest of DNS: names of name servers, aliases.
    let guides = [system.servers.clone(), request.resolvers.clone()];

    let limit = request.timeout;
    let is_in_dns = !is_localhost(&domain);
    let local = OptionFuture::from(request.wants(ViewKind::System).then(|| system.look(&names)));
    let libc = OptionFuture::from(request.wants(ViewKind::Libc).then(|| libc::look(&probes, limit)));
    let zone_view = OptionFuture::from(
        (request.wants(ViewKind::Authoritative) && is_in_dns)
            .then(|| look_at_zone(request, &domain, &names, guides.clone())),
    );
    let chosen = request
        .resolvers
        .iter()
        .map(|server| (ViewKind::Resolver, *server));
    let public = request.public.iter().map(|server| (ViewKind::Public, *server));
    let resolvers = join_all(
        chosen
            .chain(public)
            .filter(|(kind, _)| request.wants(*kind))
            .map(|(kind, address)| server::look(kind, address, &names, limit)),
    );
    let in_cluster = OptionFuture::from(
        cluster_dns
            .filter(|_| request.wants(ViewKind::Cluster) && is_in_dns)
            .map(|dns| cluster::look(dns, &names, limit)),
    );
    let caa = OptionFuture::from(is_in_dns.then(|| caa::find(&names[0], &guides[0], limit)));
    let targets = system.targets(&request.expected);
    let ((local, libc, zone_view, resolvers), (in_cluster, caa, targets)) =
        join(async { tokio::join!(local, libc, zone_view, resolvers) }, async {
            tokio::join!(in_cluster, caa, targets)
        })
        .await;
    let targets = targets?;
    let (zone, authoritative) = zone_view.unwrap_or_default();

    let mut views: Vec<ViewReport> = authoritative
        .into_iter()
        .chain(local)
        .chain(libc)
        .chain(resolvers)
        .chain(in_cluster)
        .map(|seen| judge(seen, &probes, &targets))
        .collect();
    if !request.views.iter().any(|kind| kind.decides()) {
        // Whoever looks only through such eyes wants to know what they see.
        for view in &mut views {
            view.decides = true;
        }
    }
    compare::settle(&mut views);
    if let Some(at) = find_misplaced(request, &domain, zone.as_ref(), &views, &guides[0]).await {
        name_misplaced(&mut views, &at);
    }
    let mut findings = compare::findings(&domain, &views, !targets.is_empty());
    if !is_in_dns {
        let skipped = [ViewKind::Authoritative, ViewKind::Cluster];
        let reason = "names below localhost are not in DNS (RFC 6761)";
        for kind in skipped.into_iter().filter(|kind| request.wants(*kind)) {
            views.push(judge(Seen::absent(kind, "", reason), &probes, &targets));
        }
    }
    let caa = caa.flatten();
    findings.extend(
        caa.as_ref()
            .and_then(|caa| compare::caa_finding(caa, request.issuer.as_deref())),
    );
    let is_fine = |view: &ViewReport| !view.decides || view.ok != Some(false);
    let has_answer = views.iter().any(|view| view.decides && view.ok == Some(true));
    let ok = has_answer
        && views.iter().all(is_fine)
        && findings.iter().all(|finding| finding.severity != Severity::Fail);
    let records = wanted_records(&domain, &request.expected, zone.as_ref(), &views);
    Ok(Report {
        schema: SCHEMA,
        domain,
        expected: request.expected.clone(),
        zone: zone.map(|zone| ZoneReport {
            servers: zone.server_names(),
            name: zone.name,
        }),
        views,
        findings,
        caa,
        ok,
        records,
    })
}

/// The zone, and what each of its name servers says. This machine's resolver
/// tells the zone; chosen ones do where it cannot.
async fn look_at_zone(
    request: &Request,
    domain: &str,
    names: &[Name],
    guides: [Vec<SocketAddr>; 2],
) -> (Option<Zone>, Vec<Seen>) {
    let limit = request.timeout;
    let find = |guides| Zone::find(domain, guides, request.authority_port, limit);
    let [first, second] = &guides;
    let (zone, guides) = match join(find(first), find(second)).await {
        (Err(_), Ok(zone)) => (Ok(zone), second),
        (zone, _) => (zone, first),
    };
    match zone {
        Ok(zone) => {
            let asked = zone
                .servers
                .iter()
                .map(|server| authority::look(&zone, server, names, guides, limit));
            let seen = join_all(asked).await;
            (Some(zone), seen)
        }
        Err(error) => {
            let seen = Seen::absent(ViewKind::Authoritative, "", error.to_string());
            (None, vec![seen])
        }
    }
}

fn judge(seen: Seen, probes: &[Probe], targets: &Targets) -> ViewReport {
    let (names, absent) = match seen.answers {
        Ok(answers) => {
            let judged = probes.iter().zip(answers).map(|(probe, answer)| {
                let verdict = verdict::judge(probe, &answer, targets);
                ProbeReport {
                    ok: verdict.is_ok(),
                    message: verdict.to_string(),
                    name: probe.name.clone(),
                    purpose: probe.purpose,
                    chain: answer.chain,
                    addresses: answer.addresses,
                    ttl: answer.ttl,
                    verdict,
                }
            });
            (judged.collect(), None)
        }
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let mut view = ViewReport {
        view: seen.kind,
        source: seen.source,
        decides: seen.kind.decides(),
        ok: None,
        absent,
        serial: seen.serial,
        names,
    };
    view.settle();
    view
}

/// Looks for a wildcard at the places where it is put by mistake: the zone's name
/// appended twice, and one label too deep.
async fn find_misplaced(
    request: &Request,
    domain: &str,
    zone: Option<&Zone>,
    views: &[ViewReport],
    guides: &[SocketAddr],
) -> Option<String> {
    let is_missing = views
        .iter()
        .flat_map(|view| &view.names)
        .any(|name| name.purpose == Purpose::Wildcard && name.verdict.is_missing());
    if !is_missing {
        return None;
    }
    let zone_name = zone.map_or(domain, |zone| zone.name.as_str());
    let random = || format!("silica-{:016x}", rand::random::<u64>());
    let places = [
        format!("{domain}.{zone_name}"),
        format!("*.{domain}"),
        format!("api.{domain}"),
    ];
    // Where any name at all is answered, an answer says nothing.
    let control = format!("{}.{}.{zone_name}", random(), random());
    let servers: Vec<SocketAddr> = match zone {
        Some(zone) => zone.servers.iter().map(|server| server.address).collect(),
        None => guides.to_vec(),
    };
    let mode = if zone.is_some() {
        Mode::Authoritative
    } else {
        Mode::Recursive
    };
    let exists = |name: String| {
        let servers = &servers;
        async move {
            let name = name::parse(&name).ok()?;
            let asked = servers
                .iter()
                .map(|server| exchange::ask(*server, &name, RecordType::A, mode, request.timeout));
            let found = join_all(asked).await.into_iter().flatten().any(|message| {
                let found = Found::read(&name, RecordType::A, &message);
                !found.addresses.is_empty() || !found.chain.is_empty()
            });
            found.then_some(())
        }
    };
    let candidates = places.iter().map(|place| exists(format!("{}.{place}", random())));
    let (control, found) = join(exists(control), join_all(candidates)).await;
    if control.is_some() {
        return None;
    }
    let at = found.iter().position(Option::is_some)?;
    Some(format!("*.{}", places[at]))
}

fn name_misplaced(views: &mut [ViewReport], at: &str) {
    for view in views {
        for name in &mut view.names {
            if matches!(name.verdict, Verdict::MissingWildcard { .. }) {
                name.rejudge(Verdict::MisplacedWildcard { at: at.to_owned() });
            }
        }
    }
}

/// The records that views which decide say are missing or wrong.
fn wanted_records(
    domain: &str,
    expected: &[Expected],
    zone: Option<&Zone>,
    views: &[ViewReport],
) -> Vec<records::Record> {
    let needed = |below_wildcard: bool| {
        let deciding = views.iter().filter(|view| view.decides);
        deciding
            .flat_map(|view| &view.names)
            .any(|name| name.purpose.is_below_wildcard() == below_wildcard && name.verdict.needs_record())
    };
    let (apex, wildcard) = (needed(false), needed(true));
    records::records_to_create(domain, expected, zone.map(|zone| zone.name.as_str()))
        .into_iter()
        .filter(|record| {
            if record.name.starts_with("*.") {
                wildcard
            } else {
                apex
            }
        })
        .collect()
}
