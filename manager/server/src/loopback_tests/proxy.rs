//! Who reaches which port of which sandbox, and what it sees.

use silica_runtime_api::{ACCESS_TOKEN_HEADER, DAEMON_PORT, LOOPBACK_PATH};

use super::*;

#[tokio::test]
async fn a_port_without_a_listener_says_so() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    let (status, headers, body) = get(fixture.address, &host(1, "a"), "/").await;
    let message = "The sandbox is running but port is not open";
    let expected = json!({ "sandboxId": "default--a", "message": message, "port": 1, "code": 502 });
    assert_eq!((status, json_of(&body)), (StatusCode::BAD_GATEWAY, expected));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
}

/// Asks as a browser does before a page may send a request.
async fn preflight(address: SocketAddr, host: &str) -> Response<Incoming> {
    let ask = request(host, "/health")
        .method("OPTIONS")
        .header(header::ORIGIN, "https://app.example.org")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
        .header(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            "e2b-sandbox-id,x-access-token",
        );
    let ask = ask.body(Body::empty()).unwrap();
    client(address).await.send_request(ask).await.unwrap()
}

#[tokio::test]
async fn pages_of_every_origin_read_that_a_sandbox_is_gone_or_a_port_closed() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    add_sandbox(
        &fixture.app.store,
        "private",
        &json!({ labels::PRIVATE_TRAFFIC: "true" }),
    );
    for (host, status) in [
        (host(49983, "killed"), 502),
        (host(1, "a"), 502),
        (host(8080, "private"), 403),
        ("nonsense.sbx.example.com".to_owned(), 400),
    ] {
        let allowed = preflight(fixture.address, &host).await;
        assert_eq!(allowed.status(), StatusCode::NO_CONTENT, "{host}");
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Authorization"),
        ] {
            assert_eq!(allowed.headers()[name], value, "{host}");
        }
        let (answer, headers, _) = get(fixture.address, &host, "/health").await;
        assert_eq!(answer.as_u16(), status, "{host}");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{host}");
    }
}

#[tokio::test]
async fn applications_answer_preflights_themselves_and_keep_their_own_errors() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    let (port, _) = upstream(|_| async {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
    .await;
    let host = host(port, "a");
    assert_eq!(
        preflight(fixture.address, &host).await.status(),
        StatusCode::BAD_GATEWAY
    );
    let (_, headers, _) = get(fixture.address, &host, "/").await;
    assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test]
async fn a_browser_gets_a_page_in_place_of_json() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    for (host, said) in [
        (host(1, "a"), "nothing listens on port 1"),
        (host(80, "killed"), "The sandbox was not found"),
        ("x.sbx.example.com".to_owned(), "Invalid host"),
    ] {
        let (expected, _, _) = get(fixture.address, &host, "/").await;
        let ask = request(&host, "/").header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
        let ask = ask.body(Body::empty()).unwrap();
        let response = client(fixture.address).await.send_request(ask).await.unwrap();
        assert_eq!(response.status(), expected, "{host}");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
        let page = response.into_body().collect().await.unwrap().to_bytes();
        let page = std::str::from_utf8(&page).unwrap();
        assert!(page.contains(said), "{page}");
    }
}

#[tokio::test]
async fn clients_cannot_steer_the_proxy_and_applications_see_who_asks() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    let (port, _) = upstream(|request: Request<Incoming>| async move {
        let seen: serde_json::Map<String, Value> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
            .collect();
        Response::new(Body::from(Value::Object(seen).to_string()))
    })
    .await;
    let name = host(port, "a");
    let ask = request(&name, "/")
        .header("e2b-sandbox-id", "default--victim")
        .header("e2b-sandbox-port", "22")
        .header("x-envoy-original-dst-host", "10.0.0.1:22")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let response = client(fixture.address)
        .await
        .send_request(ask.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let seen = json_of(&response.into_body().collect().await.unwrap().to_bytes());
    for gone in ["x-envoy-original-dst-host", "x-hop"] {
        assert!(seen.get(gone).is_none(), "{gone}");
    }
    for (header, value) in [
        ("host", name.as_str()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", &name),
        ("cookie", "a=1; b=2"),
    ] {
        assert_eq!(seen[header], value, "{header}");
    }
}

#[tokio::test]
async fn connections_are_reused_but_never_for_another_sandbox() {
    let fixture = serve(Auth::Off, None).await;
    let entry = add_sandbox(&fixture.app.store, "a", &json!({}));
    add_sandbox(&fixture.app.store, "b", &json!({}));
    let (port, connections) = upstream(|_| async { Response::new(Body::from("x")) }).await;
    for _ in 0..3 {
        get(fixture.address, &host(port, "a"), "/").await;
        // The connection is free once its task has seen the end of the answer.
        while !entry.live.connections.has_ready(port) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    get(fixture.address, &host(port, "b"), "/").await;
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn internal_routes_of_the_daemon_are_closed() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    for path in ["/init", "//init", "/%69nit"] {
        let (status, _, body) = get(fixture.address, &host(49983, "a"), path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(json_of(&body)["code"], 403);
    }
}

/// The Kubernetes API is away: who would be resumed is told so, the others do not exist.
#[tokio::test]
async fn only_a_sandbox_that_wants_it_is_resumed_by_traffic() {
    let fixture = serve(Auth::Off, None).await;
    for (name, annotations, expected) in [
        ("stays", json!({}), StatusCode::BAD_GATEWAY),
        (
            "wakes",
            json!({ labels::AUTO_RESUME: "60" }),
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            "private",
            json!({ labels::AUTO_RESUME: "60", labels::PRIVATE_TRAFFIC: "true" }),
            StatusCode::FORBIDDEN,
        ),
    ] {
        let mut paused = sandbox(LOCALHOST, name, &annotations);
        paused["spec"]["paused"] = json!(true);
        paused["status"]["phase"] = json!("Paused");
        let paused = serde_json::from_value(paused).unwrap();
        fixture.app.store.apply(Entry::new(paused).unwrap());
        let (status, _, body) = get(fixture.address, &host(1, name), "/").await;
        assert_eq!(status, expected, "{name}: {}", json_of(&body));
    }
}

#[tokio::test]
async fn private_traffic_needs_its_token() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(
        &fixture.app.store,
        "a",
        &json!({ labels::PRIVATE_TRAFFIC: "true" }),
    );
    let (port, _) = upstream(|_| async { Response::new(Body::from("in")) }).await;
    assert_eq!(
        get(fixture.address, &host(port, "a"), "/").await.0,
        StatusCode::FORBIDDEN
    );
    let token = fixture.app.config.token_key.traffic_token("uid-a");
    let ask = request(&host(port, "a"), "/")
        .header("e2b-traffic-access-token", token)
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        client(fixture.address)
            .await
            .send_request(ask)
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
}

/// Plays the daemon of a sandbox at `address`: leads to `server`, and nowhere else.
async fn play_daemon(address: IpAddr, token: String, server: SocketAddr) {
    let listener = TcpListener::bind((address, DAEMON_PORT)).await.unwrap();
    let path = format!("{LOOPBACK_PATH}{}", server.port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (path, token) = (path.clone(), token.clone());
            let service = service_fn(move |mut request: Request<Incoming>| {
                let known = request.uri().path() == path && request.headers()[ACCESS_TOKEN_HEADER] == token;
                let mut response = Response::new(Body::empty());
                *response.status_mut() = if known {
                    tokio::spawn(async move {
                        let mut client = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
                        let mut server = TcpStream::connect(server).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    });
                    StatusCode::SWITCHING_PROTOCOLS
                } else {
                    StatusCode::BAD_GATEWAY
                };
                async move { Ok::<_, Infallible>(response) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
}

#[tokio::test]
async fn a_server_on_the_loopback_interface_is_reached_through_the_daemon() {
    let fixture = serve(Auth::Off, None).await;
    let pod = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    let entry = add_sandbox_at(pod, &fixture.app.store, "a", &json!({}));
    // Listens on 127.0.0.1 only: the address of the pod refuses.
    let (port, connections) =
        upstream(|request| async move { Response::new(Body::new(request.into_body())) }).await;
    let token = fixture.app.config.token_key.envd_token("uid-a");
    play_daemon(pod, token, SocketAddr::new(LOCALHOST, port)).await;
    for text in ["one", "two"] {
        let ask = request(&host(port, "a"), "/").body(Body::from(text)).unwrap();
        let response = client(fixture.address).await.send_request(ask).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), text);
        while !entry.live.connections.has_ready(port) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the way is found once");
    let (status, _, body) = get(fixture.address, &host(1, "a"), "/").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(
        json_of(&body)["message"],
        "The sandbox is running but port is not open"
    );
}
