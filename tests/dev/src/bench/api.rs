//! A client of the REST API over plain http, with one kept connection per request at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

/// The forwarder's address for plain http.
const BASE: &str = "http://127.0.0.1:7788";

pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    key: String,
}

impl Api {
    pub(crate) fn new(key: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            key,
        }
    }

    /// Creates a sandbox; returns its id and how long that took.
    pub(crate) async fn create(&self, template: &str) -> Result<(String, Duration)> {
        let body = serde_json::json!({"templateID": template, "timeout": 120}).to_string();
        let began = Instant::now();
        let (status, body) = self.send(Method::POST, "/v2/sandboxes", body).await?;
        let took = began.elapsed();
        ensure!(
            status == StatusCode::CREATED,
            "failed to create a sandbox: {status}: {}",
            String::from_utf8_lossy(&body)
        );
        let answer: serde_json::Value = serde_json::from_slice(&body).context("failed to read the answer")?;
        let id = answer["sandboxID"]
            .as_str()
            .context("the answer has no sandboxID")?;
        Ok((id.to_owned(), took))
    }

    /// Kills a sandbox; returns how long that took.
    pub(crate) async fn kill(&self, id: &str) -> Result<Duration> {
        let began = Instant::now();
        let (status, body) = self
            .send(Method::DELETE, &format!("/sandboxes/{id}"), String::new())
            .await?;
        ensure!(
            status == StatusCode::NO_CONTENT,
            "failed to kill {id}: {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(began.elapsed())
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{BASE}{path}"))
            .header("x-api-key", &self.key)
            .header("content-type", "application/json")
            .body(Full::from(body))
            .context("failed to make a request")?;
        let response = self
            .client
            .request(request)
            .await
            .with_context(|| format!("failed to reach {BASE}{path}"))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .context("failed to read an answer")?;
        Ok((status, body.to_bytes()))
    }
}
