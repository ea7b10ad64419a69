//! The server on real sockets of the loopback interface: real HTTP servers play
//! the sandboxes, real HTTP clients the SDKs. The view of the cluster is filled by
//! hand; the Kubernetes API is a closed port, as during an outage.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, channel::mpsc};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Incoming, client::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::ByteString;
use kube::Client;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use silica_api::{crd::Sandbox, labels};
use silica_core::token::TokenKey;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, api,
    config::Auth,
    listener::{Listener, Server},
    state::App,
    store::{Entry, Store},
    tls::{self, Certificates},
};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LIMIT: Duration = Duration::from_secs(10);

struct Fixture {
    app: Arc<App>,
    address: SocketAddr,
    _stop: tokio_util::sync::DropGuard,
}

async fn serve(auth: Auth, certificates: Option<Arc<Certificates>>) -> Fixture {
    let anywhere = SocketAddr::new(LOCALHOST, 0);
    let config = Config {
        domains: vec!["sbx.example.com".parse().unwrap()],
        namespace: "sandbox-system".parse().unwrap(),
        http: anywhere,
        https: None,
        admin: anywhere,
        auth,
        max_timeout: 3600,
        token_key: TokenKey::new(&[7; 32]).unwrap(),
        shutdown_delay: Duration::ZERO,
        drain: Duration::ZERO,
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let closed = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let app = Arc::new(App::new(config, Client::try_from(closed).unwrap()));
    let socket = TcpListener::bind(anywhere).await.unwrap();
    let address = socket.local_addr().unwrap();
    let tls = certificates
        .map(|certificates| TlsAcceptor::from(Arc::new(tls::server_config(certificates).unwrap())));
    let server = Server::new(Arc::clone(&app), api::router(Arc::clone(&app)));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move { server.accept(&Listener { socket, tls }, stopped).await });
    Fixture {
        app,
        address,
        _stop: stop.drop_guard(),
    }
}

fn add_sandbox(store: &Arc<Store>, name: &str, annotations: &Value) -> Arc<Entry> {
    let sandbox: Sandbox = serde_json::from_value(json!({
        "apiVersion": "agents.kruise.io/v1alpha1",
        "kind": "Sandbox",
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": "5",
            "labels": { labels::POOL: "code", labels::CLAIMED: "true" }, "annotations": annotations,
        },
        "spec": { "template": {} },
        "status": {
            "phase": "Running", "podInfo": { "podIP": "127.0.0.1" },
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        },
    }))
    .unwrap();
    store.apply(Entry::new(sandbox).unwrap())
}

/// A server inside a sandbox; returns its port and counts its connections.
async fn upstream<F, R>(answer: F) -> (u16, Arc<AtomicUsize>)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                let _ = connection.with_upgrades().await;
            });
        }
    });
    (port, connections)
}

/// A body that the test feeds frame by frame.
fn fed_body() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(4);
    let frames = receiver.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    (sender, Body::new(StreamBody::new(frames)))
}

async fn client(address: SocketAddr) -> conn::http1::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

fn request(host: &str, path: &str) -> http::request::Builder {
    Request::builder().uri(path).header(header::HOST, host)
}

fn host(port: u16, name: &str) -> String {
    format!("{port}-default--{name}.sbx.example.com")
}

async fn get(address: SocketAddr, host: &str, path: &str) -> (StatusCode, HeaderMap, Bytes) {
    let response = client(address)
        .await
        .send_request(request(host, path).body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    (
        parts.status,
        parts.headers,
        body.collect().await.unwrap().to_bytes(),
    )
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(bytes)))
}

#[tokio::test]
async fn bodies_stream_both_ways_without_buffering() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    let (port, _) = upstream(|request| async { Response::new(Body::new(request.into_body())) }).await;
    let (mut feed, body) = fed_body();
    let request = request(&host(port, "a"), "/echo")
        .method("POST")
        .body(body)
        .unwrap();
    feed.send(Bytes::from_static(b"one")).await.unwrap();
    let mut response = client(fixture.address).await.send_request(request).await.unwrap();
    for piece in ["one", "two", "three"] {
        if piece != "one" {
            feed.send(Bytes::from(piece)).await.unwrap();
        }
        let frame = tokio::time::timeout(LIMIT, response.frame())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(feed);
    assert!(response.frame().await.is_none());
}

#[tokio::test]
async fn a_kill_resets_streams_and_answers_not_found_from_then_on() {
    let fixture = serve(Auth::Off, None).await;
    let entry = add_sandbox(&fixture.app.store, "a", &json!({}));
    let (started, mut feeds) = mpsc::channel(1);
    let (port, _) = upstream(move |_| {
        let mut started = started.clone();
        async move {
            let (mut feed, body) = fed_body();
            feed.send(Bytes::from_static(b"hello")).await.unwrap();
            started.send(feed).await.unwrap();
            Response::new(body)
        }
    })
    .await;
    let ask = || request(&host(port, "a"), "/").body(Body::empty()).unwrap();
    let mut response = client(fixture.address).await.send_request(ask()).await.unwrap();
    let _feed = feeds.next().await.unwrap();
    assert!(response.frame().await.unwrap().is_ok());

    fixture.app.store.kill(&entry);
    let end = tokio::time::timeout(LIMIT, response.frame()).await.unwrap();
    assert!(end.unwrap().is_err(), "the stream ended as if the work were done");
    let (status, _, body) = get(fixture.address, &host(port, "a"), "/").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let expected = json!({ "sandboxId": "default--a", "message": "The sandbox was not found", "code": 502 });
    assert_eq!(json_of(&body), expected);
}

#[tokio::test]
async fn a_kill_drops_requests_that_wait_for_an_answer() {
    let fixture = serve(Auth::Off, None).await;
    let entry = add_sandbox(&fixture.app.store, "a", &json!({}));
    let (arrived, mut arrivals) = mpsc::channel(1);
    let (port, _) = upstream(move |_| {
        let mut arrived = arrived.clone();
        async move {
            arrived.send(()).await.unwrap();
            std::future::pending().await
        }
    })
    .await;
    let mut client = client(fixture.address).await;
    let answer =
        tokio::spawn(client.send_request(request(&host(port, "a"), "/").body(Body::empty()).unwrap()));
    arrivals.next().await.unwrap();
    fixture.app.store.kill(&entry);
    assert!(
        tokio::time::timeout(LIMIT, answer)
            .await
            .unwrap()
            .unwrap()
            .is_err()
    );
}

#[tokio::test]
async fn an_upstream_that_breaks_off_breaks_the_answer_off() {
    let fixture = serve(Auth::Off, None).await;
    add_sandbox(&fixture.app.store, "a", &json!({}));
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await
            .unwrap();
    });
    let ask = request(&host(port, "a"), "/").body(Body::empty()).unwrap();
    let response = client(fixture.address).await.send_request(ask).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

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

#[tokio::test]
async fn any_upgrade_passes_and_ends_with_the_sandbox() {
    let fixture = serve(Auth::Off, None).await;
    let entry = add_sandbox(&fixture.app.store, "a", &json!({}));
    let (port, _) = upstream(|mut request: Request<Incoming>| async move {
        let protocol = request.headers()[header::UPGRADE].clone();
        tokio::spawn(async move {
            let mut stream = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                stream.write_all(&buffer[..length]).await.unwrap();
            }
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        response
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, protocol)
            .body(Body::empty())
            .unwrap()
    })
    .await;
    let ask = request(&host(port, "a"), "/ws")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket");
    let mut response = client(fixture.address)
        .await
        .send_request(ask.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()[header::UPGRADE], "websocket");
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    let mut buffer = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"ping");
    fixture.app.store.kill(&entry);
    assert!(!matches!(
        tokio::time::timeout(LIMIT, stream.read(&mut buffer))
            .await
            .unwrap(),
        Ok(1..)
    ));
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

#[tokio::test]
async fn every_error_of_the_api_is_json_with_its_code() {
    let fixture = serve(Auth::Off, None).await;
    for (method, path, body, code) in [
        ("GET", "/nowhere", "", 404),
        ("PUT", "/sandboxes", "", 405),
        ("POST", "/v2/sandboxes", "{", 400),
        ("POST", "/v2/sandboxes", "{\"templateID\":7}", 400),
        ("POST", "/kruise/api/sandboxes", "{\"templateID\":\"none\"}", 404),
        ("GET", "/sandboxes/not-an-id", "", 404),
        ("GET", "/v2/sandboxes?limit=1000", "", 400),
        ("GET", "/v2/sandboxes?nextToken=zzz", "", 400),
        ("GET", "/templates/aliases/none", "", 404),
    ] {
        let ask = request("localhost", path)
            .method(method)
            .body(Body::from(body))
            .unwrap();
        let response = client(fixture.address).await.send_request(ask).await.unwrap();
        assert_eq!(response.status().as_u16(), code, "{method} {path}");
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let body = json_of(&response.into_body().collect().await.unwrap().to_bytes());
        assert_eq!(body["code"], code, "{method} {path}");
        assert!(body["message"].is_string());
    }
    let (status, _, body) = get(fixture.address, "evil.example.org", "/").await;
    assert_eq!(
        (status, json_of(&body)["message"].clone()),
        (StatusCode::BAD_REQUEST, json!("Invalid host"))
    );
}

#[tokio::test]
async fn keys_are_needed_and_health_and_preflights_are_free() {
    let fixture = serve(Auth::Keys, None).await;
    let (status, _, body) = get(fixture.address, "localhost", "/v2/sandboxes").await;
    assert_eq!(
        (status, json_of(&body)["code"].clone()),
        (StatusCode::UNAUTHORIZED, json!(401))
    );
    assert_eq!(
        get(fixture.address, "api.sbx.example.com", "/health").await.0,
        StatusCode::OK
    );
    let ask = request("localhost", "/v2/sandboxes")
        .method("OPTIONS")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        client(fixture.address)
            .await
            .send_request(ask)
            .await
            .unwrap()
            .status(),
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn lists_have_pages_totals_and_the_twice_encoded_filter() {
    let fixture = serve(Auth::Off, None).await;
    for (name, key) in [("a", "v&é"), ("b", "other"), ("c", "v&é")] {
        let metadata = json!({ "k y": key }).to_string();
        add_sandbox(
            &fixture.app.store,
            name,
            &json!({ labels::USER_METADATA: metadata, labels::OWNER: "team-a" }),
        );
    }
    let path = "/v2/sandboxes?metadata=k%252520y%3Dv%252526%2525C3%2525A9&state=running%2Cpaused&limit=1";
    let (status, headers, body) = get(fixture.address, "localhost", path).await;
    assert_eq!(
        (status, &headers["x-total-running"]),
        (StatusCode::OK, &"3".parse().unwrap())
    );
    let first = json_of(&body);
    let next = headers["x-next-token"].to_str().unwrap();
    let (_, headers, body) = get(fixture.address, "localhost", &format!("{path}&nextToken={next}")).await;
    let second = json_of(&body);
    assert!(headers.get("x-next-token").is_none());
    assert_eq!(
        (first[0]["sandboxID"].clone(), second[0]["sandboxID"].clone()),
        (json!("default--c"), json!("default--a"))
    );
    for required in [
        "templateID",
        "sandboxID",
        "clientID",
        "startedAt",
        "endAt",
        "envdVersion",
        "cpuCount",
        "memoryMB",
        "diskSizeMB",
        "state",
    ] {
        assert!(!first[0][required].is_null(), "{required}");
    }
}

/// A self-signed certificate as a Secret has it.
fn certificate(domain: &str) -> (crate::secret::Data, CertificateDer<'static>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([domain.to_owned()]).unwrap();
    let data = [("tls.crt", cert.pem()), ("tls.key", signing_key.serialize_pem())]
        .map(|(name, pem)| (name.to_owned(), ByteString(pem.into_bytes()).0));
    (data.into(), cert.der().clone())
}

async fn connect_tls(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("api.sbx.example.com").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, TcpStream::connect(address).await?)
        .await
}

#[tokio::test]
async fn a_new_certificate_is_served_at_once_and_a_bad_one_never() {
    let certificates = Arc::new(Certificates::default());
    let fixture = serve(Auth::Off, Some(Arc::clone(&certificates))).await;
    let (old, old_root) = certificate("api.sbx.example.com");
    let (new, new_root) = certificate("api.sbx.example.com");
    assert!(
        connect_tls(fixture.address, &old_root).await.is_err(),
        "there is no certificate yet"
    );

    certificates.replace(&old).unwrap();
    let stream = connect_tls(fixture.address, &old_root).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut http2, connection) =
        conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);

    certificates.replace(&new).unwrap();
    assert!(connect_tls(fixture.address, &new_root).await.is_ok());
    assert!(connect_tls(fixture.address, &old_root).await.is_err());
    // The connection from before goes on.
    let ask = Request::builder()
        .uri("https://api.sbx.example.com/health")
        .body(Body::empty())
        .unwrap();
    assert_eq!(http2.send_request(ask).await.unwrap().status(), StatusCode::OK);

    let mut mixed = old.clone();
    mixed.insert("tls.key".to_owned(), new["tls.key"].clone());
    for bad in [
        mixed,
        crate::secret::Data::new(),
        [("tls.crt".to_owned(), b"junk".to_vec())].into(),
    ] {
        let error = certificates.replace(&bad).unwrap_err();
        assert!(!format!("{error:?}").contains("PRIVATE"), "{error:?}");
    }
    assert!(connect_tls(fixture.address, &new_root).await.is_ok());
}

#[tokio::test]
async fn http2_streams_are_reset_when_the_sandbox_dies_and_the_connection_lives() {
    let certificates = Arc::new(Certificates::default());
    let (data, root) = certificate("api.sbx.example.com");
    certificates.replace(&data).unwrap();
    let fixture = serve(Auth::Off, Some(certificates)).await;
    let entry = add_sandbox(&fixture.app.store, "a", &json!({}));
    let (started, mut feeds) = mpsc::channel(1);
    let (port, _) = upstream(move |_| {
        let mut started = started.clone();
        async move {
            let (mut feed, body) = fed_body();
            feed.send(Bytes::from_static(b"hello")).await.unwrap();
            started.send(feed).await.unwrap();
            Response::new(body)
        }
    })
    .await;
    let stream = connect_tls(fixture.address, &root).await.unwrap();
    let (mut http2, connection) =
        conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let url = format!("https://{}/", host(port, "a"));
    let ask = || Request::builder().uri(&url).body(Body::empty()).unwrap();
    let mut response = http2.send_request(ask()).await.unwrap();
    let _feed = feeds.next().await.unwrap();
    assert!(response.frame().await.unwrap().is_ok());
    fixture.app.store.kill(&entry);
    assert!(
        tokio::time::timeout(LIMIT, response.frame())
            .await
            .unwrap()
            .unwrap()
            .is_err()
    );
    assert_eq!(
        http2.send_request(ask()).await.unwrap().status(),
        StatusCode::BAD_GATEWAY
    );
}
