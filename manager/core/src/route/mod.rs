//! Where a request goes: to the REST API or to a port of a sandbox.
//!
//! One parser for all addressing forms, and the formatter of the native one:
//! - native: `api.<domain>` and `<port>-<id>.<domain>`
//! - single host: routing headers on the apex domain, `sandbox.<domain>`, an IP
//!   address, `localhost` or the in-cluster Service name
//! - path: `/kruise/api/...` and `/kruise/<id>/<port>/...` on the same hosts
//!
//! Headers count only where neither host nor path name the API or a sandbox. Otherwise a
//! page served by one sandbox could steer requests to another, and some SDKs send them
//! with calls of the API as well.

use std::net::IpAddr;

use silica_api::{
    names, ports,
    types::{Domain, SandboxId},
};

/// Where a request goes. Paths begin with `/` and include the query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Route<'a> {
    /// The REST API.
    Api {
        /// Path without the `/kruise/api` prefix.
        path: &'a str,
        /// Domain that answers hand to the client.
        domain: String,
    },
    /// A port of a sandbox.
    Sandbox {
        /// The sandbox.
        id: SandboxId,
        /// TCP port inside it.
        port: u16,
        /// Path that the application sees.
        path: &'a str,
    },
    /// Neither.
    Invalid(Invalid),
}

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// The host is below no configured domain, or its first label is not `<port>-<id>`.
    #[error("Invalid host")]
    Host,
    /// The routing headers do not name a sandbox and a port.
    #[error("Invalid host: the headers E2b-Sandbox-Id and E2b-Sandbox-Port must name a sandbox and a port")]
    Headers,
}

/// The parts of a request that decide about its route.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// `Host` header or `:authority`, with or without port.
    pub host: Option<&'a str>,
    /// Path and query.
    pub path: &'a str,
    /// `E2b-Sandbox-Id`.
    pub sandbox_id: Option<&'a str>,
    /// `E2b-Sandbox-Port`.
    pub sandbox_port: Option<&'a str>,
}

/// First segments of the API's paths that a connected SDK calls.
const API_SEGMENTS: [&str; 4] = ["sandboxes", "snapshots", "templates", "v2"];
/// Prefix of the path form.
const PATH_PREFIX: &str = "/kruise";

/// The hosts that an installation answers to.
#[derive(Clone, Debug)]
pub struct Router {
    /// Handed out where a request names no domain.
    first: Option<Domain>,
    /// The longest first: one may be below another.
    domains: Vec<Domain>,
    service: [String; 2],
}

/// What a host is, before path and headers are looked at.
enum Host<'a> {
    Api(&'a Domain),
    Wildcard(&'a str),
    Stable,
    Single(Option<&'a Domain>),
    Unknown,
}

impl Router {
    /// A router for these domains; `namespace` is where the Service lives.
    pub fn new(mut domains: Vec<Domain>, namespace: &str) -> Self {
        let first = domains.first().cloned();
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.as_str().len()));
        let service = [
            names::MANAGER.to_owned(),
            format!("{}.{namespace}", names::MANAGER),
        ];
        Self {
            first,
            domains,
            service,
        }
    }

    /// Decides where a request goes.
    pub fn route<'a>(&self, request: Request<'a>) -> Route<'a> {
        let host = request.host.unwrap_or_default();
        let (name, port) = split_port(host);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match self.classify(&name) {
            Host::Unknown => Route::Invalid(Invalid::Host),
            Host::Wildcard(label) => match parse_label(label) {
                Some((port, id)) => Route::Sandbox {
                    id,
                    port,
                    path: request.path,
                },
                None => Route::Invalid(Invalid::Host),
            },
            Host::Api(domain) => {
                let path = api_path(request.path).unwrap_or(request.path);
                Route::Api {
                    path,
                    domain: with_port(domain.as_str(), port),
                }
            }
            Host::Stable => by_headers(request).unwrap_or(Route::Invalid(Invalid::Headers)),
            Host::Single(domain) => self.single_host(request, host, domain, port),
        }
    }

    fn single_host<'a>(
        &self,
        request: Request<'a>,
        host: &str,
        domain: Option<&Domain>,
        port: Option<&str>,
    ) -> Route<'a> {
        if let Some((id, port, path)) = by_path(request.path) {
            return Route::Sandbox { id, port, path };
        }
        let below_prefix = api_path(request.path);
        if below_prefix.is_none()
            && let Some(by_headers) = by_headers(request)
            && !is_api_call(&by_headers)
        {
            return by_headers;
        }
        let domain = match (domain, below_prefix) {
            (Some(domain), _) => with_port(domain.as_str(), port),
            // The path form works on any host, so clients stay on theirs.
            (None, Some(_)) => host.to_ascii_lowercase(),
            (None, None) => self.first.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        Route::Api {
            path: below_prefix.unwrap_or(request.path),
            domain,
        }
    }

    fn classify<'s>(&'s self, host: &'s str) -> Host<'s> {
        for domain in &self.domains {
            let Some(front) = host.strip_suffix(domain.as_str()) else {
                continue;
            };
            if front.is_empty() {
                return Host::Single(Some(domain));
            }
            let Some(label) = front.strip_suffix('.') else {
                continue;
            };
            return match label {
                "api" => Host::Api(domain),
                "sandbox" => Host::Stable,
                _ => Host::Wildcard(label),
            };
        }
        if host.is_empty() || host == "localhost" || is_address(host) || self.is_service(host) {
            return Host::Single(None);
        }
        Host::Unknown
    }

    fn is_service(&self, host: &str) -> bool {
        let [short, full] = &self.service;
        let below = host.strip_prefix(full.as_str());
        host == short
            || below.is_some_and(|rest| rest.is_empty() || rest == ".svc" || rest.starts_with(".svc."))
    }
}

/// Host of a port of a sandbox, the inverse of [`Router::route`] for the native form.
pub fn format_host(port: u16, id: &SandboxId, domain: &str) -> String {
    format!("{port}-{id}.{domain}")
}

fn with_port(domain: &str, port: Option<&str>) -> String {
    match port {
        Some(port) => format!("{domain}:{port}"),
        None => domain.to_owned(),
    }
}

/// Splits `host[:port]`; an IPv6 address loses its brackets.
fn split_port(host: &str) -> (&str, Option<&str>) {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, rest.strip_prefix(':').filter(|port| !port.is_empty()));
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, (!port.is_empty()).then_some(port)),
        _ => (host, None),
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

fn parse_label(label: &str) -> Option<(u16, SandboxId)> {
    let (port, id) = label.split_once('-')?;
    Some((parse_port(port)?, id.parse().ok()?))
}

/// A TCP port in decimal without sign or leading zeros.
fn parse_port(text: &str) -> Option<u16> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn by_headers(request: Request<'_>) -> Option<Route<'_>> {
    let id = request.sandbox_id?;
    let port = request
        .sandbox_port
        .map_or(Some(ports::ENVD.number), |port| parse_port(port.trim()));
    match (id.trim().to_ascii_lowercase().parse(), port) {
        (Ok(id), Some(port)) => Some(Route::Sandbox {
            id,
            port,
            path: request.path,
        }),
        _ => Some(Route::Invalid(Invalid::Headers)),
    }
}

/// Whether a request that names the runtime's port is one for the API: the runtime serves none of
/// these paths, and SDKs around 2.8 send the routing headers with every call of a connected sandbox.
fn is_api_call(route: &Route<'_>) -> bool {
    let Route::Sandbox { port, path, .. } = route else {
        return false;
    };
    let first = path.split(['/', '?']).nth(1).unwrap_or_default();
    *port == ports::ENVD.number && API_SEGMENTS.contains(&first)
}

/// `/kruise/<id>/<port>[/rest]`, on its exact shape only, so that applications
/// may serve other paths below `/kruise`.
fn by_path(path: &str) -> Option<(SandboxId, u16, &str)> {
    let rest = path.strip_prefix(PATH_PREFIX)?.strip_prefix('/')?;
    let (id, rest) = rest.split_once('/')?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let port = parse_port(&rest[..end])?;
    let rest = if end == rest.len() { "/" } else { &rest[end..] };
    // `/kruise/<id>/<port>?query` has a query but no path: the slash in front is
    // missing, and the caller adds it.
    Some((id.parse().ok()?, port, rest))
}

fn api_path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PATH_PREFIX)?.strip_prefix("/api")?;
    match rest.as_bytes().first() {
        None => Some("/"),
        Some(b'/' | b'?') => Some(rest),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
