//! Bodies and upgraded connections, and how they end.

use super::*;

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
