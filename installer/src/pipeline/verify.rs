//! Proves that an installation works: its API answers over TLS, and a sandbox
//! made through it runs a command.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use silica_api::{ports, types::Domain};

use crate::{
    cluster::Cluster,
    exposure::{
        address::{Addresses, Route},
        https::{self, Answer, Client, Trust},
    },
    pipeline::connect,
};

/// How long the sandbox of the proof may live, in seconds, should it not be
/// removed at the end.
const LIFETIME: u32 = 60;
const GREETING: &str = "silica works";
const PAUSE: Duration = Duration::from_millis(200);
/// How long addresses from outside are tried before the API server has to
/// forward: node ports and load balancers follow ready pods with a delay.
const OUTSIDE_FIRST: Duration = Duration::from_secs(5);

/// Why the proof failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers.
    #[error("failed to reach the API of {domain} by any way")]
    NoRoute {
        domain: String,
        #[source]
        last: Option<https::Error>,
    },
    /// A request failed.
    #[error(transparent)]
    Https(#[from] https::Error),
    /// An address serves a certificate that clients refuse.
    #[error("failed to find the certificate of the installation in service: {why}")]
    Certificate { why: String, hint: Option<String> },
    /// The API answered something else than it should.
    #[error("failed to {step}: the API answered {status}: {body}")]
    Status {
        step: &'static str,
        status: StatusCode,
        body: String,
    },
    /// An answer is not the JSON it should be.
    #[error("failed to {step}: the answer cannot be read")]
    Answer {
        step: &'static str,
        source: serde_json::Error,
    },
    /// The command did not run.
    #[error("failed to run a command in sandbox {sandbox}")]
    Command { sandbox: String, source: connect::Error },
    /// The command ran, and something else came out.
    #[error("a command in sandbox {sandbox} ended with exit code {exit_code} and printed {output:?}")]
    Output {
        sandbox: String,
        exit_code: i32,
        output: String,
    },
    /// The key cannot stand in a header.
    #[error("failed to put the API key into a header")]
    Key,
}

/// Finds a way to the API and checks it: TLS with the trusted CA, and health.
pub async fn reach(
    cluster: &Cluster,
    addresses: &Addresses,
    domain: &Domain,
    trust: Trust<'_>,
    deadline: tokio::time::Instant,
) -> Result<Client, Error> {
    let mut last = None;
    let routes = addresses.routes();
    let has_outside = routes.iter().any(|route| matches!(route, Route::Tcp { .. }));
    let start = tokio::time::Instant::now();
    loop {
        for route in &routes {
            let is_forwarded = matches!(route, Route::Forward { .. });
            if is_forwarded && has_outside && start.elapsed() < OUTSIDE_FIRST {
                continue;
            }
            let client = Client::new(cluster, route.clone(), trust)?;
            match client
                .request(Method::GET, &domain.api_host(), "/health", HeaderMap::new(), "")
                .await
            {
                Ok(answer) if answer.status.is_success() => return Ok(client),
                Ok(answer) => {
                    last = Some(https::Error::Send {
                        method: Method::GET,
                        host: domain.api_host(),
                        path: "/health".into(),
                        why: format!("status {}", answer.status),
                    });
                }
                // A forwarded connection is the last way, and says least about
                // why the others do not work.
                Err(error) if !is_forwarded || last.is_none() => last = Some(error),
                Err(_) => {}
            }
        }
        // A rolled out pod may still be on its way into the load balancer.
        if tokio::time::Instant::now() + PAUSE >= deadline {
            return Err(Error::NoRoute {
                domain: domain.to_string(),
                last,
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    #[serde(default)]
    envd_access_token: Option<String>,
}

/// How long the steps of the proof took.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Id of the sandbox.
    pub sandbox: String,
    /// From the create call to its answer.
    pub create: Duration,
    /// From the command's request to its last byte.
    pub command: Duration,
}

/// Creates a sandbox, runs a command in it, and removes it whatever happened.
pub async fn prove(client: &Client, domain: &Domain, api_key: &str, template: &str) -> Result<Proof, Error> {
    let start = Instant::now();
    let created = create(client, domain, api_key, template).await?;
    let create = start.elapsed();
    let start = Instant::now();
    let ran = run(client, domain, &created).await;
    let command = start.elapsed();
    let removed = remove(client, domain, api_key, &created.sandbox_id).await;
    ran?;
    removed?;
    Ok(Proof {
        sandbox: created.sandbox_id,
        create,
        command,
    })
}

fn api_headers(api_key: &str) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let mut key = HeaderValue::from_str(api_key).map_err(|_| Error::Key)?;
    key.set_sensitive(true);
    headers.insert("x-api-key", key);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

fn expect(step: &'static str, answer: Answer) -> Result<Answer, Error> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let text = String::from_utf8_lossy(&answer.body);
    Err(Error::Status {
        step,
        status: answer.status,
        body: text.chars().take(300).collect(),
    })
}

async fn create(client: &Client, domain: &Domain, api_key: &str, template: &str) -> Result<Created, Error> {
    const STEP: &str = "create a sandbox";
    let body = json!({"templateID": template, "timeout": LIFETIME, "secure": true}).to_string();
    let answer = client
        .request(
            Method::POST,
            &domain.api_host(),
            "/sandboxes",
            api_headers(api_key)?,
            body,
        )
        .await?;
    serde_json::from_slice(&expect(STEP, answer)?.body).map_err(|source| Error::Answer { step: STEP, source })
}

async fn run(client: &Client, domain: &Domain, created: &Created) -> Result<(), Error> {
    let host = format!("{}-{}.{domain}", ports::ENVD.number, created.sandbox_id);
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(connect::CONTENT_TYPE),
    );
    headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
    if let Some(token) = created
        .envd_access_token
        .as_deref()
        .and_then(|token| HeaderValue::from_str(token).ok())
    {
        headers.insert("x-access-token", token);
    }
    let body = connect::start_request("/bin/sh", &["-c", &format!("echo {GREETING}")]);
    let answer = client
        .request(Method::POST, &host, "/process.Process/Start", headers, body)
        .await?;
    let answer = expect("run a command", answer)?;
    let sandbox = || created.sandbox_id.clone();
    let finished = connect::read_answer(&answer.body).map_err(|source| Error::Command {
        sandbox: sandbox(),
        source,
    })?;
    let output = String::from_utf8_lossy(&finished.stdout);
    if finished.exit_code != 0 || output.trim() != GREETING {
        return Err(Error::Output {
            sandbox: sandbox(),
            exit_code: finished.exit_code,
            output: output.into_owned(),
        });
    }
    Ok(())
}

async fn remove(client: &Client, domain: &Domain, api_key: &str, sandbox: &str) -> Result<(), Error> {
    let path = format!("/sandboxes/{sandbox}");
    let answer = client
        .request(
            Method::DELETE,
            &domain.api_host(),
            &path,
            api_headers(api_key)?,
            "",
        )
        .await?;
    expect("remove the sandbox", answer).map(drop)
}
