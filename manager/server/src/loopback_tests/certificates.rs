//! TLS and HTTP/2.

use super::*;

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
