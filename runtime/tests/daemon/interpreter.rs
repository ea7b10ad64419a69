//! The interpreter where no kernel is installed, and with one of another language.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::fixture::{Daemon, wait_until};

/// No program of the machine, so no Python with ipykernel either.
const NO_PROGRAMS: (&str, &str) = ("PATH", "/nonexistent");

fn post(daemon: &Daemon, path: &str, body: &Value) -> (u16, String) {
    // The SDKs say what they send; the interpreter does not depend on it.
    let response = daemon.request("POST", path, &[], body.to_string().as_bytes());
    (response.status, String::from_utf8(response.body).unwrap())
}

#[test]
fn language_without_a_kernel_is_an_error_that_names_it() {
    let daemon = Daemon::start_interpreter(&[NO_PROGRAMS]);
    for language in ["java", "R"] {
        let (status, text) = post(&daemon, "/contexts", &json!({"language": language}));
        let name = language.to_lowercase();
        let expected = format!("no kernel for {name} is installed in this sandbox");
        assert_eq!((status, text), (500, expected));
    }
    let (status, text) = post(&daemon, "/execute", &json!({"code": "1", "language": "cobol"}));
    assert_eq!(
        (status, text.as_str()),
        (500, "language 'cobol' is not supported by this sandbox")
    );
    let both = json!({"code": "1", "language": "python", "context_id": "x"});
    assert_eq!(post(&daemon, "/execute", &both).0, 400);
    let unknown = post(&daemon, "/execute", &json!({"code": "1", "context_id": "x"}));
    assert_eq!(unknown, (404, "Context x not found".to_owned()));
}

#[test]
fn refusals_are_one_sentence_of_text() {
    let daemon = Daemon::start_interpreter(&[NO_PROGRAMS]);
    assert_eq!(post(&daemon, "/execute", &json!({"language": "python"})).0, 400);
    assert_eq!(post(&daemon, "/nothing", &json!({})).0, 404);
    let (status, text) = post(&daemon, "/health", &json!({}));
    assert_eq!(
        (status, text.as_str()),
        (405, "this route does not have that method")
    );
}

/// The results, output and errors of a cell, each as `kind text`.
fn run(daemon: &Daemon, language: &str, code: &str) -> Vec<String> {
    let (status, text) = post(daemon, "/execute", &json!({"code": code, "language": language}));
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter_map(|line: Value| {
            let kind = line["type"].as_str()?.to_owned();
            let said = ["text", "value"].iter().find_map(|key| line[*key].as_str())?;
            Some(format!("{kind} {said}"))
        })
        .collect()
}

#[test]
fn node_is_all_that_javascript_needs() {
    let daemon = Daemon::start_interpreter(&[]);
    let cells: [(&str, &[&str]); 11] = [
        ("const a = 20; console.log('h\u{e9}')", &["stdout h\u{e9}\n"]),
        ("a + 22", &["result 42"]),
        (
            "const a = 1; function f(x) { return a + x } class B { y = 3 }",
            &[],
        ),
        ("f(1) + new B().y", &["result 5"]),
        (
            "import { join } from 'node:path';\nawait Promise.resolve(join('a', 'b'))",
            &["result a/b"],
        ),
        ("null.x", &["error Cannot read properties of null (reading 'x')"]),
        ("const = 3", &["error Unexpected token (1:6)"]),
        (
            "for (var i = 0; i < 2; i++) console.error(i)",
            &["stderr 0\n", "stderr 1\n"],
        ),
        ("(a, i)", &["result 2"]),
        ("throw new Error('a\\ud800b')", &["error a\u{fffd}b"]),
        ("console.log('a\\ud800b')", &["stdout a\u{fffd}b\n"]),
    ];
    for (code, expected) in cells {
        assert_eq!(run(&daemon, "js", code), expected, "{code}");
    }
}

#[test]
fn a_javascript_cell_has_variables_of_its_own_and_a_busy_one_ends_with_its_client() {
    let daemon = Daemon::start_interpreter(&[]);
    let body = json!({"code": "process.env.ONE + typeof process.env.TWO", "language": "javascript",
        "env_vars": {"ONE": "it's"}});
    let (_, text) = post(&daemon, "/execute", &body);
    assert!(text.contains("it'sundefined"), "{text}");
    assert_eq!(
        run(&daemon, "javascript", "typeof process.env.ONE"),
        ["result undefined"]
    );

    let body = json!({"code": "for (;;);", "language": "javascript"}).to_string();
    let mut client = daemon.connect();
    let request = format!(
        "POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    std::io::Write::write_all(&mut client, request.as_bytes()).unwrap();
    // The kernel has the cell as soon as the answer begins.
    std::io::Read::read_exact(&mut client, &mut [0; 12]).unwrap();
    drop(client);
    assert_eq!(run(&daemon, "javascript", "1 + 1"), ["result 2"]);
}

/// A kernel of the language bash that is this shell script; `$1` is its connection file.
fn install_kernel(root: &Path, script: &str) {
    let directory = root.join("kernels/bash");
    std::fs::create_dir_all(&directory).unwrap();
    let specification = json!({"argv": ["/bin/sh", "-c", script, "kernel-of-bash", "{connection_file}"]});
    std::fs::write(directory.join("kernel.json"), specification.to_string()).unwrap();
    // The kernel runs as another user where the test runs as root.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(root, permissions).unwrap();
}

#[test]
fn a_failed_cell_never_looks_successful_and_never_hangs() {
    let root = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [kernel, wire] = ["tests/daemon/odd_kernel.js", "src/interpreter/javascript/wire.js"]
        .map(|file| sources.join(file).to_str().unwrap().to_owned());
    for source in [&kernel, &wire] {
        std::fs::copy(source, root.path().join(Path::new(source).file_name().unwrap())).unwrap();
    }
    // The kernel's user need not be allowed to read the sources.
    let path = root.path().to_str().unwrap();
    install_kernel(
        root.path(),
        &format!("exec node {path}/odd_kernel.js \"$1\" {path}/wire.js"),
    );
    let daemon = Daemon::start_interpreter(&[("JUPYTER_PATH", path)]);
    let told = "error only the reply knows";
    let cells: [(&str, &[&str]); 5] = [
        ("print and fail", &["stderr UsageError", told]),
        ("tell twice", &[told]),
        ("abort", &["error the kernel did not run the cell"]),
        (
            "never reply",
            &["error the kernel ended the cell without saying how"],
        ),
        ("succeed", &[]),
    ];
    for (code, expected) in cells {
        assert_eq!(run(&daemon, "bash", code), expected, "{code}");
    }
}

#[test]
fn a_context_starts_in_its_directory_or_not_at_all() {
    let daemon = Daemon::start_interpreter(&[]);
    for cwd in ["/nonexistent", "/etc/passwd"] {
        let (status, text) = post(
            &daemon,
            "/contexts",
            &json!({"language": "javascript", "cwd": cwd}),
        );
        let expected = format!("cwd '{cwd}' is not a directory of this sandbox");
        assert_eq!((status, text), (400, expected));
    }
    let (status, text) = post(
        &daemon,
        "/contexts",
        &json!({"language": "javascript", "cwd": "/usr"}),
    );
    assert_eq!(status, 200, "{text}");
}

#[test]
fn kernel_is_started_as_its_specification_says() {
    let root = tempfile::tempdir().unwrap();
    // Ends at once: what counts is that it was started, with a connection file that exists.
    let seen = root.path().join("seen");
    install_kernel(
        root.path(),
        &format!("test -f \"$1\" && echo \"$0\" > {}", seen.display()),
    );
    let path = root.path().to_str().unwrap();
    let daemon = Daemon::start_interpreter(&[NO_PROGRAMS, ("JUPYTER_PATH", path)]);
    let (status, text) = post(&daemon, "/contexts", &json!({"language": "BASH"}));
    assert_eq!((status, text.as_str()), (500, "the kernel did not become ready"));
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "kernel-of-bash\n");
}

#[test]
fn kernel_dies_with_the_client_that_waits_for_its_start() {
    let root = tempfile::tempdir().unwrap();
    // Never creates a socket, so that the daemon keeps waiting.
    let note = root.path().join("pid");
    let script = format!(
        "echo $$ > {0}.partial; /bin/mv {0}.partial {0}; exec /bin/sleep 600",
        note.display()
    );
    install_kernel(root.path(), &script);
    let path = root.path().to_str().unwrap();
    let daemon = Daemon::start_interpreter(&[NO_PROGRAMS, ("JUPYTER_PATH", path)]);
    let mut client = daemon.connect();
    let body = r#"{"language": "bash"}"#;
    write!(
        client,
        "POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let pid = wait_until(|| std::fs::read_to_string(&note).ok());
    let process = Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    drop(client);
    wait_until(|| (!process.exists()).then_some(()));
}
