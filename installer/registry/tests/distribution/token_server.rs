//! A token server as distribution's `spec/auth/token` describes it, with a key of its own.
//!
//! Who may what: `jane` with the password `hush`, or with the identity token `refresh-me`, gets
//! every right she asks for; `reader` with `hush` and everybody without a name may pull.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use reqwest::Url;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::server::certified;

/// Seconds for which the registry accepts a token after its end (its constant `Leeway`).
const LEEWAY: u64 = 60;

/// What the server does instead of giving a token for a minute.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// A token that the registry accepts for a quarter of a second at most.
    Short,
    /// A token that it does not accept any more.
    Expired,
    /// A status without a token.
    Status(u16),
}

/// A running server; its thread ends with the process.
pub(crate) struct TokenServer {
    port: u16,
    state: Arc<State>,
}

struct State {
    key: EcdsaKeyPair,
    /// The certificate of the key, as DER in base64.
    certificate: String,
    root: String,
    /// What comes next; without anything it is a token for a minute.
    next: Mutex<VecDeque<Answer>>,
    /// The scopes that were asked for, with who asked.
    asked: Mutex<Vec<(String, String)>>,
}

impl TokenServer {
    pub(crate) fn start(next: &[Answer]) -> Self {
        let (authority, leaf) = certified();
        let key = PrivatePkcs8KeyDer::from_pem_slice(leaf.key_pem().expose().as_bytes()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            key.secret_pkcs8_der(),
            &SystemRandom::new(),
        );
        let certificate = CertificateDer::from_pem_slice(leaf.chain_pem().as_bytes()).unwrap();
        let state = Arc::new(State {
            key: key.unwrap(),
            certificate: STANDARD.encode(&certificate),
            root: authority.certificate_pem().to_owned(),
            next: Mutex::new(next.iter().copied().collect()),
            asked: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&shared, stream.unwrap());
            }
        });
        Self { port, state }
    }

    /// Lines of the registry's configuration that send everybody here.
    pub(crate) fn configuration(&self, folder: &Path) -> String {
        let root = folder.join("tokens.pem");
        fs::write(&root, &self.state.root).unwrap();
        format!(
            "auth:\n  token:\n    realm: http://127.0.0.1:{}/token\n    service: silica-test\n    issuer: tokens\n    \
             rootcertbundle: {}\n",
            self.port,
            root.display()
        )
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Who asked for which scope, since the last call.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }
}

fn serve(state: &State, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap_or("/"));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut parameters = target.split_once('?').map_or("", |(_, query)| query).to_owned();
    if method == "POST" {
        let length = headers["content-length"].parse().unwrap();
        parameters.clear();
        reader
            .by_ref()
            .take(length)
            .read_to_string(&mut parameters)
            .unwrap();
    }
    let (status, body) = answer(state, &headers, &parameters);
    let response = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    reader.get_mut().write_all(response.as_bytes()).unwrap();
}

/// Status and body.
fn answer(state: &State, headers: &BTreeMap<String, String>, parameters: &str) -> (u16, String) {
    let url = Url::parse(&format!("http://localhost/?{parameters}")).unwrap();
    let parameters: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let basic = headers
        .get("authorization")
        .and_then(|value| value.strip_prefix("Basic "))
        .map(|text| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap());
    let user = match (
        basic.as_deref(),
        parameters.get("refresh_token").map(String::as_str),
    ) {
        (None, None) => "",
        (Some("jane:hush"), None) | (None, Some("refresh-me")) => "jane",
        (Some("reader:hush"), None) => "reader",
        _ => {
            return (
                401,
                json!({"details": "incorrect username or password"}).to_string(),
            );
        }
    };
    let scope = &parameters["scope"];
    state.asked.lock().unwrap().push((user.to_owned(), scope.clone()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = match state.next.lock().unwrap().pop_front() {
        None => now.as_secs() + 60,
        Some(Answer::Expired) => now.as_secs() - LEEWAY - 1,
        Some(Answer::Status(status)) => return (status, "{}".to_owned()),
        Some(Answer::Short) => {
            // Ends are whole seconds: given out three quarters into one, it lasts to the next.
            let wait = (1750 - u64::from(now.subsec_millis())) % 1000;
            thread::sleep(Duration::from_millis(wait));
            (now + Duration::from_millis(wait)).as_secs() + 1 - LEEWAY
        }
    };
    let mut parts = scope.split(':');
    let (kind, name, actions) = (parts.next(), parts.next(), parts.next().unwrap());
    let granted: Vec<&str> = actions
        .split(',')
        .filter(|action| user == "jane" || *action == "pull")
        .collect();
    let claims = json!({
        "iss": "tokens", "sub": user, "aud": parameters["service"], "jti": "1",
        "iat": end - 600, "nbf": end - 600, "exp": end,
        "access": [{"type": kind, "name": name, "actions": granted}],
    });
    let token = sign(state, &claims);
    // Both names at once, as several servers do.
    (
        200,
        json!({"token": token, "access_token": token, "expires_in": 60}).to_string(),
    )
}

/// A JSON web token (RFC 7519) by ES256, with the certificate of its key.
fn sign(state: &State, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [state.certificate]});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let signature = state.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
