//! Every form of an address.

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
        router().route(with_headers("localhost", "/kruise/apis", ID, "80")),
        sandbox(80, "/kruise/apis")
    );
}

#[test]
fn the_path_wins_over_headers_which_some_sdks_send_with_every_call() {
    let path = format!("/kruise/api/sandboxes/{ID}/connect");
    let connect = format!("/sandboxes/{ID}/connect");
    for host in ["sbx.example.com", "localhost", "10.0.0.1"] {
        let Route::Api { path, .. } = router().route(with_headers(host, &path, ID, "49983")) else {
            panic!("{host}: into the sandbox");
        };
        assert_eq!(path, connect);
    }
    let path = format!("/kruise/{ID}/8080/x");
    assert_eq!(
        router().route(with_headers("localhost", &path, "default--other", "49983")),
        sandbox(8080, "/x")
    );
}

#[test]
fn a_call_of_the_api_is_known_by_its_path_where_the_headers_name_the_runtime() {
    let connect = format!("/sandboxes/{ID}/connect");
    for path in [connect.as_str(), "/v2/sandboxes?limit=1", "/snapshots"] {
        assert_eq!(
            router().route(with_headers("sbx.example.com", path, ID, "49983")),
            api(path, "sbx.example.com"),
        );
        assert_eq!(
            router().route(with_headers("sbx.example.com", path, ID, "8080")),
            sandbox(8080, path),
            "applications have these paths, too"
        );
    }
    for path in ["/health", "/files?path=/sandboxes", "/metrics"] {
        assert_eq!(
            router().route(with_headers("sbx.example.com", path, ID, "49983")),
            sandbox(49983, path)
        );
    }
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

#[test]
fn a_domain_below_another_one_is_a_domain_of_its_own() {
    for domains in [
        ["example.com", "sandbox.example.com"],
        ["sandbox.example.com", "example.com"],
    ] {
        let domains: [Domain; 2] = domains.map(|domain| domain.parse().unwrap());
        let first = domains[0].to_string();
        let router = Router::new(domains.into(), "sandbox-system");
        for domain in ["example.com", "sandbox.example.com"] {
            let host = format!("api.{domain}");
            assert_eq!(router.route(on(&host, "/sandboxes")), api("/sandboxes", domain));
            let host = format!("8080-{ID}.{domain}");
            assert_eq!(router.route(on(&host, "/")), sandbox(8080, "/"));
            assert_eq!(router.route(on(domain, "/health")), api("/health", domain));
        }
        assert_eq!(router.route(on("10.0.0.1", "/health")), api("/health", &first));
    }
}
