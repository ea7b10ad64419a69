//! What is chosen, kept and shown: the binary against a real API server, named
//! by the kubeconfig in `SILICA_TEST_KUBECONFIG`. `SILICA_KUBERNETES` names the
//! executable whose `kubectl` applies what `silica render` prints.
//!
//! No image is there, so nothing is waited for.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod harness;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use harness::Harness;
use serde_json::{Value, json};
use silica_api::names;
use silica_certs::inspect;

const COMMON: [&str; 10] = [
    "--expose",
    "ingress,direct",
    "--service-type",
    "NodePort",
    "--images",
    "none",
    "--manager-image",
    "silica.invalid/manager:1",
    "--runtime-image",
    "silica.invalid/runtime:1",
];
const DOMAINS: &str = "a.example.com,b.example.org,bücher.example";
const TEMPLATES: [&str; 3] = ["--templates", "--template-image-base", "silica.invalid/base:1"];
const INGRESS: &str = "Ingress sandbox-system/sandbox-manager";
const MANAGER: &str = "Deployment sandbox-system/sandbox-manager";

fn with<'a>(command: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    [command, rest].concat()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) {
    let text = format!("{}{}", stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_on_a_real_api_server() {
    let Some(harness) = Harness::connect().await else {
        return;
    };
    a_failed_check_stops_before_the_first_write(&harness).await;
    without_a_domain_anywhere_the_user_is_asked_for_one(&harness);
    all_domains_are_served(&harness).await;
    what_was_chosen_stays_chosen(&harness).await;
    objects_rendered_from_the_cluster_are_those_that_stand(&harness);
    a_domain_that_is_dropped_is_gone_everywhere(&harness).await;
    the_values_can_be_reset(&harness);
    let uninstall = ["uninstall", "--delete-sandboxes"];
    expect(&harness.silica(&uninstall), 0, &[]);
    rendered_objects_are_those_of_install(&harness);
    expect(&harness.silica(&with(&uninstall, &["--delete-crds"])), 0, &[]);
    harness.remove_namespace().await;
}

async fn a_failed_check_stops_before_the_first_write(harness: &Harness) {
    let suffix = with(&["--domain", "co.uk"], &COMMON);
    let install = with(&["install", "--no-wait", "-o", "json"], &suffix);
    let output = harness.silica(&install);
    expect(&output, 79, &[]);
    let checks = document(&output)["checks"].clone();
    let domain = checks
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["id"] == "domain");
    let domain = domain.unwrap();
    assert_eq!(domain["verdict"], "fail");
    assert_eq!(domain["see"], "docs/troubleshooting.md#domain");
    assert!(harness.namespace().await.is_none());
    let short = harness.silica(&with(&["check", "-o", "short"], &suffix));
    expect(&short, 79, &["✗ domain co.uk", "checks: "]);
    assert!(!stderr(&short).contains('✓'), "{}", stderr(&short));
    let all = harness.silica(&with(&["check"], &suffix));
    expect(&all, 79, &["✓ Kubernetes v1.", "Other installations", " ms)"]);
    assert!(harness.namespace().await.is_none());
}

fn without_a_domain_anywhere_the_user_is_asked_for_one(harness: &Harness) {
    let output = harness.silica(&with(&["install", "--no-wait"], &COMMON));
    expect(&output, 65, &["no domain is given", "--domain"]);
}

async fn all_domains_are_served(harness: &Harness) {
    let flags = [&["--domain", DOMAINS][..], &COMMON, &TEMPLATES].concat();
    let output = harness.silica(&with(&["install", "--no-wait"], &flags));
    expect(
        &output,
        0,
        &["bücher.example (in DNS and certificates: xn--bcher-kva.example)"],
    );
    let domains = ["a.example.com", "b.example.org", "xn--bcher-kva.example"];
    let objects = harness.state().await;
    let hosts: Vec<String> = domains
        .iter()
        .flat_map(|domain| [(*domain).to_owned(), format!("*.{domain}")])
        .collect();
    assert_eq!(objects[INGRESS]["spec"]["tls"][0]["hosts"], json!(hosts));
    assert_eq!(hosts_of(&objects), hosts);
    assert_eq!(domains_of(&objects), domains);
    let named = certificate_names(harness).await;
    assert!(hosts.iter().all(|host| named.contains(host)), "{named:?}");
}

fn hosts_of(objects: &BTreeMap<String, Value>) -> Vec<String> {
    let rules = objects[INGRESS]["spec"]["rules"].as_array().unwrap();
    rules
        .iter()
        .map(|rule| rule["host"].as_str().unwrap().to_owned())
        .collect()
}

/// The values of the manager's flag `--domain`.
fn domains_of(objects: &BTreeMap<String, Value>) -> Vec<String> {
    let container = &objects[MANAGER]["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    args.windows(2)
        .filter(|pair| pair[0] == "--domain")
        .map(|pair| pair[1].to_owned())
        .collect()
}

async fn certificate_names(harness: &Harness) -> Vec<String> {
    use k8s_openapi::api::core::v1::Secret;
    let api: kube::Api<Secret> = kube::Api::namespaced(harness.client(), names::NAMESPACE);
    let secret = api.get(names::TLS_SECRET).await.unwrap();
    let chain = secret.data.unwrap()["tls.crt"].0.clone();
    let chain = inspect::parse_chain(&String::from_utf8(chain).unwrap()).unwrap();
    chain[0].names.clone()
}

async fn what_was_chosen_stays_chosen(harness: &Harness) {
    let dry = ["install", "--dry-run", "--exit-code"];
    expect(
        &harness.silica(&dry),
        0,
        &["nothing to change", "kept in the cluster"],
    );
    let more = with(&dry, &["--manager-replicas", "5"]);
    expect(
        &harness.silica(&more),
        2,
        &["~ value sandboxManager.replicaCount: 3 -> 5 (flag --manager-replicas)"],
    );
    // Without the flag the code does not tell.
    expect(
        &harness.silica(&["install", "--dry-run", "--manager-replicas", "5"]),
        0,
        &[],
    );
    let before = harness.state().await;
    assert_eq!(before[MANAGER]["spec"]["replicas"], 3);
    let one = ["install", "--no-wait", "--manager-replicas", "5"];
    expect(&harness.silica(&one), 0, &[]);
    let after = harness.state().await;
    assert_eq!(after[MANAGER]["spec"]["replicas"], 5);
    let titles = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(titles(&after), titles(&before), "nothing came or went");

    let explained = document(&harness.silica(&["config", "explain", "-o", "json", "--log-level", "3"]));
    let origin = |key: &str| {
        let rows = explained.as_array().unwrap();
        let row = rows.iter().find(|row| row["key"] == key).unwrap();
        row["origin"].as_str().unwrap().to_owned()
    };
    assert_eq!(origin("sandboxManager.replicaCount"), "cluster");
    assert_eq!(origin("controller.logLevel"), "flag");
    assert_eq!(origin("controller.replicaCount"), "default");
    let shown = stdout(&harness.silica(&["config", "show"]));
    assert!(
        shown.contains("replicaCount: 5") && shown.contains("bücher.example"),
        "{shown}"
    );

    expect(
        &harness.silica(&["install", "--no-wait", "--templates=false"]),
        0,
        &[
            "- SandboxSet default/base (stays until a run waits",
            "kept, since",
        ],
    );
    // Nobody waits here, and only a run that does removes it.
    assert!(harness.state().await.contains_key("SandboxSet default/base"));
}

async fn a_domain_that_is_dropped_is_gone_everywhere(harness: &Harness) {
    let one = ["install", "--no-wait", "--domain", "a.example.com"];
    expect(
        &harness.silica(&one),
        0,
        &["~ value e2b.domain: a.example.com, b.example.org"],
    );
    let objects = harness.state().await;
    assert_eq!(hosts_of(&objects), ["a.example.com", "*.a.example.com"]);
    assert_eq!(domains_of(&objects), ["a.example.com"]);
    assert_eq!(objects[MANAGER]["spec"]["replicas"], 5);
    let named = certificate_names(harness).await;
    assert!(
        !named.iter().any(|name| name.ends_with("b.example.org")),
        "{named:?}"
    );
}

fn the_values_can_be_reset(harness: &Harness) {
    expect(
        &harness.silica(&["install", "--reset-values", "--dry-run"]),
        65,
        &["no domain is given"],
    );
    let reset = [
        &[
            "install",
            "--reset-values",
            "--dry-run",
            "--domain",
            "a.example.com",
        ][..],
        &COMMON,
    ]
    .concat();
    expect(
        &harness.silica(&reset),
        0,
        &["~ value sandboxManager.replicaCount: 5 -> 3 (default)"],
    );
}

fn objects_rendered_from_the_cluster_are_those_that_stand(harness: &Harness) {
    let Some(kubernetes) = kubernetes() else { return };
    let unusual = [
        "--log-level=3",
        "--controller-cpu=75m",
        "--proxy-memory-limit=300Mi",
        "--node-selector=kubernetes.io/os=linux",
        "--toleration=only=silica:NoSchedule",
        "--ingress-annotation=example.com/a=b",
        "--address=192.0.2.9",
        "--node-port-https=30555",
    ];
    expect(
        &harness.silica(&with(&["install", "--no-wait"], &unusual)),
        0,
        &[],
    );
    let diff = |flags: &[&str]| {
        let rendered = harness.silica(&with(&["render", "--from-cluster"], flags));
        expect(&rendered, 0, &[]);
        kubectl(Path::new(&kubernetes), harness, "diff", &rendered.stdout)
    };
    expect(&diff(&[]), 0, &[]);
    // What is said now wins, and what was kept is the rest.
    let one = diff(&["--manager-replicas", "7"]);
    expect(&one, 1, &["-  replicas: 5", "+  replicas: 7"]);
    let changed = stdout(&one);
    let changed = changed.lines().filter(|line| line.starts_with("+ "));
    // Kubernetes counts the change.
    let changed = changed.filter(|line| !line.contains("generation:"));
    assert_eq!(changed.count(), 1, "{}", stdout(&one));
    // Without the flag nobody is asked: this server does not exist.
    let nowhere = harness.unreachable();
    expect(
        &harness.silica_as(&nowhere, &["render"]),
        65,
        &["no domain is given"],
    );
    let alone = with(&["render", "--domain", "a.example.com"], &COMMON);
    expect(&harness.silica_as(&nowhere, &alone), 0, &["replicas: 3"]);
    let asked = with(&alone, &["--from-cluster"]);
    expect(&harness.silica_as(&nowhere, &asked), 69, &["127.0.0.1:1"]);
    let usual = ["--node-selector=", "--toleration=", "--address="];
    expect(&harness.silica(&with(&["install", "--no-wait"], &usual)), 0, &[]);
}

fn kubernetes() -> Option<OsString> {
    let found = std::env::var_os("SILICA_KUBERNETES");
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "SILICA_KUBERNETES must be set on CI"
        );
        println!("not run: SILICA_KUBERNETES does not name an executable with kubectl");
    }
    found
}

/// Only Secrets are missing, and the name of the field manager.
fn rendered_objects_are_those_of_install(harness: &Harness) {
    let Some(kubernetes) = kubernetes() else { return };
    let flags = [&["--domain", "a.example.com"][..], &COMMON, &TEMPLATES].concat();
    let rendered = harness.silica(&with(&["render"], &flags));
    expect(&rendered, 0, &[]);
    assert!(!stdout(&rendered).contains("kind: Secret\n"));
    // Objects of new kinds may come before the server knows them.
    let applied = (0..5).any(|_| kubectl_apply(Path::new(&kubernetes), harness, &rendered.stdout));
    assert!(applied, "kubectl apply fails");
    let dry = with(&["install", "--dry-run", "-o", "json"], &flags);
    let plan = document(&harness.silica(&dry));
    for change in plan["changes"].as_array().unwrap() {
        let is_same = change["action"] == "keep" || change["paths"] == json!(["metadata.managedFields"]);
        assert!(is_same, "{change:#}");
    }
    let secrets = plan["secrets"].as_array().unwrap();
    assert!(!secrets.is_empty() && secrets.iter().all(|secret| secret["action"] == "make"));
    assert_eq!(plan["remove"], json!([]));
    let text = harness.silica(&with(&["install", "--dry-run"], &flags));
    expect(&text, 0, &["get silica as their field manager"]);
    // Content that is the same is nothing to fight about.
    expect(&harness.silica(&with(&["install", "--no-wait"], &flags)), 0, &[]);
    expect(
        &harness.silica(&["install", "--dry-run", "--exit-code"]),
        0,
        &["nothing to change"],
    );
    expect(&harness.silica(&["uninstall", "--delete-sandboxes"]), 0, &[]);
}

fn kubectl_apply(kubernetes: &Path, harness: &Harness, text: &[u8]) -> bool {
    kubectl(kubernetes, harness, "apply", text).status.success()
}

fn kubectl(kubernetes: &Path, harness: &Harness, verb: &str, text: &[u8]) -> Output {
    let mut child = Command::new(kubernetes)
        .args(["kubectl", verb, "--filename", "-", "--kubeconfig"])
        .arg(harness.kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    child.wait_with_output().unwrap()
}
