//! Runs the built binary with bad input: exit codes and messages, no cluster.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc2822};

fn silica(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_silica"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const IMAGES: [&str; 4] = ["--manager-image", "m:1", "--runtime-image", "r:1"];

fn install<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["install", "--yes"], &IMAGES[..], rest].concat()
}

/// A kubeconfig for a server at this port, without credentials.
fn kubeconfig(folder: &Path, port: u16) -> String {
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], \
         users: [{{name: u, user: {{}}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    );
    let path = folder.join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn wrong_flags_are_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["install", "--nonsense"][..],
        &["nonsense"],
        &[],
        &["install", "--timeout", "5 days"],
    ] {
        assert_eq!(silica(args, folder.path()).status.code(), Some(64), "{args:?}");
    }
    assert_eq!(silica(&["--help"], folder.path()).status.code(), Some(0));
}

#[test]
fn an_admin_key_on_the_command_line_is_not_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let output = silica(
        &install(&["--domain", "a.b", "--admin-key", "admin-987654321"]),
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn without_a_kubeconfig_the_user_is_told_how_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = silica(&install(&["--domain", "a.example.com"]), folder.path());
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    assert!(stderr(&output).contains("--kubeconfig"), "{}", stderr(&output));
    let named = silica(
        &install(&["--domain", "a.example.com", "--kubeconfig", "missing"]),
        folder.path(),
    );
    assert_eq!(named.status.code(), Some(65));
    assert!(
        stderr(&named).contains("kubeconfig missing"),
        "{}",
        stderr(&named)
    );
}

#[test]
fn an_unreachable_server_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = kubeconfig(folder.path(), port);
    let output = silica(
        &install(&["--domain", "a.example.com", "--kubeconfig", &config]),
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(
        stderr(&output).contains(&format!("http://127.0.0.1:{port}")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_server_that_never_answers_runs_into_the_time_limit() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kubeconfig(folder.path(), listener.local_addr().unwrap().port());
    let output = silica(
        &install(&[
            "--domain",
            "a.example.com",
            "--timeout",
            "1s",
            "--kubeconfig",
            &config,
        ]),
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    assert!(stderr(&output).contains("Preflight"), "{}", stderr(&output));
}

/// A server whose clock is ahead of ours by this much. It tells nothing but its version.
/// Returns its port and the requests that it got: a real API server has our clock.
fn server_with_clock(ahead: Duration) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            let _rest = lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
            seen.lock().unwrap().push(request);
            let date = (OffsetDateTime::now_utc() + ahead).format(&Rfc2822).unwrap();
            let date = date.replace("+0000", "GMT");
            let answer =
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2";
            // Whoever asked may be gone.
            let _ = write!(stream, "{answer}\r\ndate: {date}\r\n\r\n{{}}");
        }
    });
    (port, requests)
}

#[test]
fn certificates_are_not_made_by_a_clock_that_differs_from_the_clusters() {
    let folder = tempfile::tempdir().unwrap();
    let run = |ahead, args: &[&str]| {
        let (port, requests) = server_with_clock(ahead);
        let config = kubeconfig(folder.path(), port);
        let output = silica(&[args, &["--kubeconfig", &config]].concat(), folder.path());
        let seen = requests.lock().unwrap().clone();
        (output, seen)
    };
    for args in [&["rotate-certs"][..], &["rotate-certs", "--ca", "--yes"]] {
        for (ahead, says) in [
            (-Duration::hours(2), "s behind this machine"),
            (Duration::hours(2), "s ahead of this machine"),
        ] {
            let (output, seen) = run(ahead, args);
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(79), "{message}");
            for part in ["nothing was changed", says, "timedatectl"] {
                assert!(message.contains(part), "{part:?} is not in:\n{message}");
            }
            assert_eq!(seen, ["GET /version HTTP/1.1"]);
        }
    }
    let (output, seen) = run(Duration::ZERO, &["rotate-certs"]);
    assert_ne!(output.status.code(), Some(79), "{}", stderr(&output));
    assert!(seen.len() > 1, "it goes on when the clocks agree: {seen:?}");
    let (_, seen) = run(Duration::hours(2), &["rotate-certs", "status"]);
    assert!(
        !seen.contains(&"GET /version HTTP/1.1".to_owned()),
        "looking takes no clock"
    );
}

#[test]
fn bad_settings_are_refused_before_any_connection() {
    let folder = tempfile::tempdir().unwrap();
    let config = kubeconfig(folder.path(), 1);
    for (args, words) in [
        (&["--domain", "*.a.b"][..], "--domain"),
        (&["--domain", "http://a.b"], "--domain"),
        (&["--domain", "10.0.0.1"], "two labels"),
        (&["--domain", "a.b", "--log-level", "9"], "flag --log-level"),
        (&["--domain", "a.b", "--values", "missing.yaml"], "missing.yaml"),
        (
            &["--domain", "a.b", "--admin-key-file", "missing.key"],
            "missing.key",
        ),
    ] {
        let output = silica(
            &[&install(args)[..], &["--kubeconfig", &config]].concat(),
            folder.path(),
        );
        assert_eq!(output.status.code(), Some(65), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn render_needs_no_cluster_and_prints_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["render", "--domain", "a.example.com"], &IMAGES[..]].concat();
    let output = silica(&args, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let yaml = String::from_utf8(output.stdout).unwrap();
    assert!(yaml.starts_with("---\napiVersion: v1\nkind: Namespace\n"));
    assert!(yaml.contains("image: m:1") && yaml.contains("a.example.com"));
    assert!(!yaml.contains("kind: Secret\n"));
}

#[test]
fn certs_generate_writes_the_four_files_and_keeps_the_authority() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "certs",
        "generate",
        "-d",
        "a.example.com",
        "-o",
        "out",
        "-D",
        "365",
    ];
    assert_eq!(silica(&args, folder.path()).status.code(), Some(0));
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let (authority, key) = (read("ca-fullchain.pem"), read("privkey.pem"));
    assert!(
        read("ca-privkey.pem").contains("PRIVATE KEY") && read("fullchain.pem").contains("BEGIN CERTIFICATE")
    );
    assert_eq!(silica(&args, folder.path()).status.code(), Some(0));
    assert_eq!(read("ca-fullchain.pem"), authority);
    assert_ne!(read("privkey.pem"), key);
}

#[test]
fn verify_dns_works_without_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "verify-dns",
        "--domain",
        "silica.localhost",
        "--expect",
        "127.0.0.1",
        "-o",
        "json",
    ];
    let output = silica(&args, folder.path());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report[0]["domain"], "silica.localhost");
}

#[test]
fn completions_and_version_need_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = silica(&["completions", "bash"], folder.path());
    assert!(String::from_utf8_lossy(&script.stdout).contains("rotate-certs"));
    let version = silica(&["version", "-o", "json"], folder.path());
    assert_eq!(version.status.code(), Some(0));
}

#[test]
fn colour_is_for_terminals_and_obeys_the_usual_variables() {
    let folder = tempfile::tempdir().unwrap();
    let coloured = |variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_silica"))
            .args(install(&[]))
            .args(["--kubeconfig", "missing"])
            .current_dir(folder.path())
            .env_clear()
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        stderr(&output).contains('\u{1b}')
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let output = silica(&["man", "--dir", "man"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = |name: &str| std::fs::read_to_string(folder.path().join("man").join(name)).unwrap();
    assert!(page("silica.1").contains("silica\\-install"));
    assert!(page("silica-install.1").contains("manager\\-replicas"));
    let one = silica(&["man", "certs", "import"], folder.path());
    assert_eq!(
        String::from_utf8_lossy(&one.stdout).trim_end(),
        page("silica-certs-import.1").trim_end()
    );
    assert_eq!(
        silica(&["man", "nonsense"], folder.path()).status.code(),
        Some(64)
    );
}

#[test]
fn settings_are_explained_without_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("silica.yaml"),
        "e2b:\n  domain: a.example.com\n",
    )
    .unwrap();
    let args = [
        "config",
        "explain",
        "--offline",
        "--values",
        "silica.yaml",
        "--log-level",
        "3",
    ];
    let output = silica(&args, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["silica.yaml:2", "flag --log-level", "default"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    std::fs::write(
        folder.path().join("silica.yaml"),
        "e2b:\n  domian: a.example.com\n",
    )
    .unwrap();
    let output = silica(&args, folder.path());
    assert_eq!(output.status.code(), Some(65));
    assert!(
        stderr(&output).contains("did you mean e2b.domain?"),
        "{}",
        stderr(&output)
    );
}
