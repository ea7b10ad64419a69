//! Plays the daemons inside of all sandboxes, behind one loopback address.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use silica_runtime_api::{ACCESS_TOKEN_HEADER, DAEMON_PORT, INIT_PATH, METRICS_HISTORY_PATH, METRICS_PATH};
use tokio::net::TcpListener;

/// The address of every pod.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 20, 1));

/// What the daemons were told.
#[derive(Default)]
struct Seen {
    /// Environment variables of every call, by the id of the sandbox.
    calls: HashMap<String, Vec<Value>>,
    /// Ids and tokens: a token must never come with two ids.
    tokens: HashMap<String, String>,
    /// Templates whose daemons refuse.
    refusing: HashSet<String>,
    delay: Duration,
}

#[derive(Clone, Default)]
pub(crate) struct Daemons(Arc<Mutex<Seen>>);

impl Daemons {
    pub(crate) async fn start() -> Self {
        let daemons = Self::default();
        let listener = TcpListener::bind((ADDRESS, DAEMON_PORT)).await.unwrap();
        let router = Router::new()
            .route(INIT_PATH, post(init))
            .route(METRICS_PATH, get(usage))
            .route(METRICS_HISTORY_PATH, get(async || Json([usage().await.0])))
            .fallback(async || "the sandbox")
            .with_state(daemons.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        daemons
    }

    /// Daemons of this template refuse every call from now on.
    pub(crate) fn refuse(&self, template: &str) {
        self.0.lock().unwrap().refusing.insert(template.to_owned());
    }

    /// Daemons take so long to answer from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    /// The environment variables of every call to the daemon of this sandbox.
    pub(crate) fn calls(&self, id: &str) -> Vec<Value> {
        self.0.lock().unwrap().calls.get(id).cloned().unwrap_or_default()
    }
}

async fn init(State(daemons): State<Daemons>, headers: HeaderMap, Json(body): Json<Value>) -> StatusCode {
    let variables = body["envVars"].clone();
    let text = |name: &str| variables[name].as_str().unwrap_or_default().to_owned();
    let (id, template) = (text("E2B_SANDBOX_ID"), text("E2B_TEMPLATE_ID"));
    let token = headers[ACCESS_TOKEN_HEADER].to_str().unwrap().to_owned();
    let (delay, refuses) = {
        let mut seen = daemons.0.lock().unwrap();
        seen.calls.entry(id.clone()).or_default().push(variables);
        let known = seen.tokens.entry(token).or_insert_with(|| id.clone()).clone();
        assert_eq!(known, id, "one token for two sandboxes");
        (seen.delay, seen.refusing.contains(&template))
    };
    tokio::time::sleep(delay).await;
    if refuses {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::NO_CONTENT
    }
}

async fn usage() -> Json<Value> {
    Json(
        json!({"ts": 1_800_000_000, "cpu_count": 2, "cpu_used_pct": 1.5, "mem_total": 1024, "mem_used": 512,
        "disk_used": 1, "disk_total": 2}),
    )
}
