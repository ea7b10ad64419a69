//! Where a request goes: to the REST API or to a port of a sandbox.
//!
//! One parser for all addressing forms, and the formatter of the native one:
//! - native: `api.<domain>` and `<port>-<id>.<domain>`
//! - single host: routing headers on the apex domain, `sandbox.<domain>`, an IP
//!   address, `localhost` or the in-cluster Service name
//! - path: `/kruise/api/...` and `/kruise/<id>/<port>/...` on the same hosts
//!
//! Headers count only on hosts that do not name a sandbox themselves; otherwise a
//! page served by one sandbox could steer requests to another.

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

/// Prefix of the path form.
const PATH_PREFIX: &str = "/kruise";

/// The hosts that an installation answers to.
#[derive(Clone, Debug)]
pub struct Router {
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
    pub fn new(domains: Vec<Domain>, namespace: &str) -> Self {
        let service = [
            names::MANAGER.to_owned(),
            format!("{}.{namespace}", names::MANAGER),
        ];
        Self { domains, service }
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
        let by_path = by_path(request.path);
        if let Some(by_headers) = by_headers(request) {
            // A patched SDK sends both forms at once; they then name the same sandbox.
            return match (by_path, by_headers) {
                (Some((id, port, path)), Route::Sandbox { id: other, .. }) if id == other => {
                    Route::Sandbox { id, port, path }
                }
                (_, by_headers) => by_headers,
            };
        }
        if let Some((id, port, path)) = by_path {
            return Route::Sandbox { id, port, path };
        }
        let below_prefix = api_path(request.path);
        let domain = match (domain, below_prefix) {
            (Some(domain), _) => with_port(domain.as_str(), port),
            // The path form works on any host, so clients stay on theirs.
            (None, Some(_)) => host.to_ascii_lowercase(),
            (None, None) => self.domains.first().map(ToString::to_string).unwrap_or_default(),
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
mod tests {
    use super::*;

    const ID: &str = "default--code-interpreter-29xyz";

    fn router() -> Router {
        let domains = ["sbx.example.com", "silica.localhost"].map(|domain| domain.parse().unwrap());
        Router::new(domains.into(), "sandbox-system")
    }

    fn on<'a>(host: &'a str, path: &'a str) -> Request<'a> {
        Request {
            host: Some(host),
            path,
            ..Request::default()
        }
    }

    fn with_headers<'a>(host: &'a str, path: &'a str, id: &'a str, port: &'a str) -> Request<'a> {
        Request {
            sandbox_id: Some(id),
            sandbox_port: Some(port),
            ..on(host, path)
        }
    }

    fn sandbox(port: u16, path: &str) -> Route<'_> {
        Route::Sandbox {
            id: ID.parse().unwrap(),
            port,
            path,
        }
    }

    fn api<'a>(path: &'a str, domain: &str) -> Route<'a> {
        Route::Api {
            path,
            domain: domain.to_owned(),
        }
    }

    #[test]
    fn formatted_hosts_come_back() {
        let id: SandboxId = ID.parse().unwrap();
        for domain in ["sbx.example.com", "silica.localhost"] {
            for port in [1, 49983, 65535] {
                let host = format_host(port, &id, domain);
                assert_eq!(
                    router().route(on(&host, "/x?y=1")),
                    sandbox(port, "/x?y=1"),
                    "{host}"
                );
            }
        }
    }

    #[test]
    fn case_port_and_root_dot_of_the_host_do_not_matter() {
        for host in [
            "49983-DEFAULT--Code-Interpreter-29xyz.SBX.example.COM",
            &format!("49983-{ID}.sbx.example.com.:8443"),
        ] {
            assert_eq!(router().route(on(host, "/")), sandbox(49983, "/"), "{host}");
        }
    }

    #[test]
    fn the_api_host_hands_out_its_own_domain_and_port() {
        assert_eq!(
            router().route(on("api.sbx.example.com", "/sandboxes")),
            api("/sandboxes", "sbx.example.com")
        );
        assert_eq!(
            router().route(on(
                "api.silica.localhost:30443",
                "/kruise/api/v2/sandboxes?limit=1"
            )),
            api("/v2/sandboxes?limit=1", "silica.localhost:30443")
        );
    }

    #[test]
    fn headers_do_not_steer_hosts_that_name_a_sandbox() {
        let host = format!("8080-{ID}.sbx.example.com");
        let request = with_headers(&host, "/", "default--victim", "49983");
        assert_eq!(router().route(request), sandbox(8080, "/"));
        let request = with_headers("api.sbx.example.com", "/sandboxes", ID, "49983");
        assert_eq!(router().route(request), api("/sandboxes", "sbx.example.com"));
    }

    #[test]
    fn headers_route_on_every_single_host() {
        for host in [
            "sbx.example.com",
            "sandbox.sbx.example.com",
            "localhost:7788",
            "127.0.0.1",
            "[::1]:7788",
            "sandbox-manager",
            "sandbox-manager.sandbox-system",
            "sandbox-manager.sandbox-system.svc:80",
            "sandbox-manager.sandbox-system.svc.cluster.local",
        ] {
            assert_eq!(
                router().route(with_headers(host, "/files", ID, "49983")),
                sandbox(49983, "/files"),
                "{host}"
            );
        }
    }

    #[test]
    fn malformed_headers_are_refused_and_not_guessed() {
        for (id, port) in [
            ("nodashes", "49983"),
            (ID, "0"),
            (ID, "99999"),
            (ID, "+1"),
            ("a--b/../c", "80"),
            ("", "80"),
        ] {
            let route = router().route(with_headers("localhost", "/", id, port));
            assert_eq!(route, Route::Invalid(Invalid::Headers), "{id} {port}");
        }
        assert_eq!(
            router().route(on("sandbox.sbx.example.com", "/")),
            Route::Invalid(Invalid::Headers)
        );
    }

    #[test]
    fn a_missing_port_header_means_the_daemon() {
        let request = Request {
            sandbox_id: Some(ID),
            ..on("localhost", "/health")
        };
        assert_eq!(router().route(request), sandbox(49983, "/health"));
    }

    #[test]
    fn path_form_is_stripped() {
        let path = format!("/kruise/{ID}/49999/execute?a=b");
        for host in [
            "sbx.example.com",
            "10.0.0.1",
            "sandbox-manager.sandbox-system.svc.cluster.local",
        ] {
            assert_eq!(
                router().route(on(host, &path)),
                sandbox(49999, "/execute?a=b"),
                "{host}"
            );
        }
        let bare = format!("/kruise/{ID}/49999");
        assert_eq!(router().route(on("localhost", &bare)), sandbox(49999, "/"));
        let query = format!("/kruise/{ID}/49999?a=b");
        assert_eq!(router().route(on("localhost", &query)), sandbox(49999, "?a=b"));
        // An SDK with both forms.
        assert_eq!(
            router().route(with_headers("localhost", &path, ID, "49999")),
            sandbox(49999, "/execute?a=b")
        );
    }

    #[test]
    fn applications_keep_their_own_paths_below_kruise() {
        let host = format!("8080-{ID}.sbx.example.com");
        let path = format!("/kruise/{ID}/1/x");
        assert_eq!(router().route(on(&host, &path)), sandbox(8080, &path));
        assert_eq!(
            router().route(with_headers("localhost", "/kruise/api/x", ID, "80")),
            sandbox(80, "/kruise/api/x")
        );
    }

    #[test]
    fn api_by_path_stays_on_the_host_of_the_client() {
        let router = router();
        assert_eq!(
            router.route(on("silica.localhost", "/kruise/api/health")),
            api("/health", "silica.localhost")
        );
        assert_eq!(
            router.route(on(
                "sandbox-manager.sandbox-system.svc.cluster.local",
                "/kruise/api/sandboxes"
            )),
            api("/sandboxes", "sandbox-manager.sandbox-system.svc.cluster.local")
        );
        assert_eq!(
            router.route(on("10.1.2.3:7788", "/sandboxes")),
            api("/sandboxes", "sbx.example.com")
        );
        assert_eq!(
            router.route(on("localhost", "/kruise/apis")),
            api("/kruise/apis", "sbx.example.com")
        );
    }

    #[test]
    fn foreign_and_malformed_hosts_are_refused() {
        for host in [
            "example.com",
            "evilsbx.example.com",
            &format!("49983-{ID}.evil.com"),
            &format!("a.49983-{ID}.sbx.example.com"),
            &format!("049983-{ID}.sbx.example.com"),
            &format!("0-{ID}.sbx.example.com"),
            &format!("70000-{ID}.sbx.example.com"),
            "49983-nodash.sbx.example.com",
            "www.sbx.example.com",
            "sandbox-manager.sandbox-system.svcx",
            "sandbox-manager.other.svc",
        ] {
            assert_eq!(
                router().route(on(host, "/")),
                Route::Invalid(Invalid::Host),
                "{host}"
            );
        }
    }

    #[test]
    fn a_request_without_host_is_a_single_host_request() {
        let request = Request {
            path: "/health",
            ..Request::default()
        };
        assert_eq!(router().route(request), api("/health", "sbx.example.com"));
    }
}
