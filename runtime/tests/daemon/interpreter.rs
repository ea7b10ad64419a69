//! The interpreter where no kernel is installed, and with one of another language.

use serde_json::{Value, json};

use crate::fixture::Daemon;

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

#[test]
fn kernel_is_started_as_its_specification_says() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("kernels/bash");
    std::fs::create_dir_all(&directory).unwrap();
    // Ends at once: what counts is that it was started, with a connection file that exists.
    let seen = root.path().join("seen");
    let script = format!("test -f \"$1\" && echo \"$0\" > {}", seen.display());
    let specification = json!({"argv": ["/bin/sh", "-c", script, "kernel-of-bash", "{connection_file}"]});
    std::fs::write(directory.join("kernel.json"), specification.to_string()).unwrap();
    let path = root.path().to_str().unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(root.path(), permissions).unwrap();
    let daemon = Daemon::start_interpreter(&[NO_PROGRAMS, ("JUPYTER_PATH", path)]);
    let (status, text) = post(&daemon, "/contexts", &json!({"language": "BASH"}));
    assert_eq!((status, text.as_str()), (500, "the kernel did not become ready"));
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "kernel-of-bash\n");
}
