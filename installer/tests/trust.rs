//! `silica certs trust` with the system's own `update-ca-certificates`: below
//! another root, and for real in a mount namespace of its own.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod local;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use local::{run, silica, text};

/// Whether the system has what the test needs; on CI that is a must.
fn has(program: &str, args: &[&str]) -> bool {
    let is_there = Command::new(program)
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success());
    if !is_there {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} {args:?} does not work here"
        );
        println!("skipped: {program} {args:?} does not work here");
    }
    is_there
}

/// A folder with a CA and a certificate in `certs`, and an empty trust store in `root`.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for place in [
        "usr/share/ca-certificates",
        "usr/local/share/ca-certificates",
        "etc/ssl/certs",
    ] {
        fs::create_dir_all(root.join(place)).unwrap();
    }
    fs::write(root.join("etc/ca-certificates.conf"), "").unwrap();
    let made = silica(
        &["certs", "generate", "-d", "a.example.com", "-o", "certs"],
        folder.path(),
    );
    assert!(made.status.success(), "{}", text(&made.stderr));
    folder
}

const CA: &str = "certs/ca-fullchain.pem";

fn trust<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["certs", "trust", "--root", "root"], rest].concat()
}

/// Whether programs that read the store trust the certificate.
fn is_trusted(folder: &Path) -> bool {
    let args = [
        "verify",
        "-no-CAfile",
        "-CApath",
        "root/etc/ssl/certs",
        "certs/fullchain.pem",
    ];
    run("openssl", &args, folder).status.success()
}

#[test]
fn the_trust_store_gets_the_ca_and_loses_it_again() {
    if !has("update-ca-certificates", &["--help"]) {
        return;
    }
    let folder = made();
    let folder = folder.path();
    assert!(!is_trusted(folder));
    let added = || {
        fs::read_dir(folder.join("root/usr/local/share/ca-certificates"))
            .unwrap()
            .count()
    };
    for _ in 0..2 {
        let installed = silica(&trust(&["--ca", CA, "--install"]), folder);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        assert!(
            text(&installed.stdout).contains("/silica-"),
            "{}",
            text(&installed.stdout)
        );
        assert!(is_trusted(folder));
        assert_eq!(added(), 1);
    }
    // A file of somebody else's stays.
    fs::write(
        folder.join("root/usr/local/share/ca-certificates/silica-of-mine.crt"),
        "",
    )
    .unwrap();
    let removed = silica(&trust(&["--uninstall"]), folder);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert!(!is_trusted(folder));
    assert_eq!(added(), 1);
    let again = silica(&trust(&["--uninstall", "--ca", CA]), folder);
    assert!(
        again.status.success() && again.stdout.is_empty(),
        "{}",
        text(&again.stderr)
    );
}

#[test]
fn a_ca_without_limits_is_refused_unless_forced() {
    if !has("update-ca-certificates", &["--help"]) {
        return;
    }
    let folder = made();
    let folder = folder.path();
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout any.key -out any.pem -days 30 \
                   -subj /CN=Any -addext keyUsage=critical,keyCertSign";
    assert!(
        run("openssl", &request.split(' ').collect::<Vec<_>>(), folder)
            .status
            .success()
    );
    let refused = silica(&trust(&["--ca", "any.pem", "--install"]), folder);
    assert_eq!(refused.status.code(), Some(79));
    let message = text(&refused.stderr);
    assert!(
        message.contains("every name") && message.contains("--force"),
        "{message}"
    );
    let forced = silica(&trust(&["--ca", "any.pem", "--install", "--force"]), folder);
    assert!(forced.status.success(), "{}", text(&forced.stderr));
}

#[test]
fn what_is_no_ca_is_refused() {
    let folder = made();
    for (file, words) in [
        ("certs/fullchain.pem", "not a CA certificate"),
        ("certs/privkey.pem", "PRIVATE KEY"),
        ("missing.pem", "missing.pem"),
    ] {
        let refused = silica(&trust(&["--ca", file, "--install"]), folder.path());
        assert!(!refused.status.success());
        assert!(text(&refused.stderr).contains(words), "{}", text(&refused.stderr));
    }
    let store = folder.path().join("root/usr/local/share/ca-certificates");
    assert_eq!(fs::read_dir(store).unwrap().count(), 0);
}

#[test]
fn a_store_that_cannot_be_made_again_is_left_as_it_was() {
    if !has("update-ca-certificates", &["--help"]) {
        return;
    }
    let folder = made();
    fs::remove_dir(folder.path().join("root/etc/ssl/certs")).unwrap();
    let failed = silica(&trust(&["--ca", CA, "--install"]), folder.path());
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        text(&failed.stderr).contains("update-ca-certificates failed"),
        "{}",
        text(&failed.stderr)
    );
    let store = folder.path().join("root/usr/local/share/ca-certificates");
    assert_eq!(fs::read_dir(store).unwrap().count(), 0);
}

/// A program of the name that the store needs, which makes the bundle in its first
/// call and then does as the script says, and a bundle that it has made.
fn store_of(folder: &Path, script: &str) -> String {
    let programs = folder.join("programs");
    fs::create_dir(&programs).unwrap();
    let program = programs.join("update-ca-certificates");
    let text = format!(
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --localcertsdir) local=$2;; --etccertsdir) etc=$2;; esac; \
         shift 2; done\nbundle=$etc/ca-certificates.crt\necho call >> calls\n{script}\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("root/etc/ssl/certs/ca-certificates.crt"), "").unwrap();
    format!(
        "{}:{}",
        programs.display(),
        std::env::var("PATH").unwrap_or_default()
    )
}

#[test]
fn a_store_that_fails_or_does_not_take_the_ca_is_as_before() {
    for (script, says) in [
        // It says that it has done it, and has not.
        ("exit 0", "has not put"),
        // It has done it, and fails behind.
        (
            "cat $local/*.crt > $bundle 2>/dev/null\n[ $(wc -l < calls) -gt 1 ]",
            "update-ca-certificates failed",
        ),
    ] {
        let folder = made();
        let folder = folder.path();
        let path = store_of(folder, script);
        let output = Command::new(env!("CARGO_BIN_EXE_silica"))
            .args(trust(&["--ca", CA, "--install"]))
            .current_dir(folder)
            .env("HOME", folder)
            .env("PATH", path)
            .output()
            .unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(says), "{message}");
        let store = folder.join("root/usr/local/share/ca-certificates");
        assert_eq!(fs::read_dir(store).unwrap().count(), 0, "{says}: a file is left");
        let calls = fs::read_to_string(folder.join("calls")).unwrap();
        assert_eq!(
            calls.lines().count(),
            2,
            "{says}: the bundle was not made again without the CA"
        );
        let bundle = fs::read_to_string(folder.join("root/etc/ssl/certs/ca-certificates.crt")).unwrap();
        assert_eq!(bundle, "", "{says}: the bundle still has the CA");
    }
}

#[test]
fn several_cas_are_written_into_a_file_each() {
    let folder = made();
    let folder = folder.path();
    let second = ["certs", "generate", "-d", "a.example.com", "-o", "second"];
    assert!(silica(&second, folder).status.success());
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (one, two) = (read(CA), read("second/ca-fullchain.pem"));
    fs::write(folder.join("both.pem"), format!("{one}{two}")).unwrap();
    let split = silica(&["certs", "trust", "--ca", "both.pem", "--split", "each"], folder);
    assert!(split.status.success(), "{}", text(&split.stderr));
    let mut written: Vec<String> = fs::read_dir(folder.join("each"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    written.sort();
    let mut expected = [one, two];
    expected.sort();
    assert_eq!(written, expected);
    let told = silica(
        &["certs", "trust", "--ca", "both.pem", "--system", "firefox"],
        folder,
    );
    for entry in fs::read_dir(folder.join("each")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text(&told.stdout).contains(&format!("-i {name}")), "{name}");
    }
}

#[test]
fn the_steps_are_told_with_what_the_ca_is_limited_to() {
    let folder = made();
    let told = silica(
        &["certs", "trust", "--ca", CA, "--system", "fedora"],
        folder.path(),
    );
    let told = text(&told.stdout);
    assert!(
        told.contains("limited to   a.example.com") && told.contains("update-ca-trust"),
        "{told}"
    );
    let json = silica(
        &["certs", "trust", "--ca", CA, "--system", "macos", "-o", "json"],
        folder.path(),
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["trust"][0].as_str().unwrap().contains("add-trusted-cert"));
    assert_eq!(json["certificates"][0]["permittedNames"][0], "a.example.com");
}

/// The real folders of this machine, each as a copy that ends with the test.
#[test]
fn this_machine_trusts_the_ca() {
    if !has("update-ca-certificates", &["--help"])
        || !has(
            "unshare",
            &[
                "--map-root-user",
                "--mount",
                "mount",
                "-t",
                "tmpfs",
                "none",
                "/usr/local/share",
            ],
        )
    {
        return;
    }
    let folder = made();
    let script = "set -e
cp -a /etc/ssl/certs copy
mount -t tmpfs none /usr/local/share
mkdir /usr/local/share/ca-certificates
mount --bind copy /etc/ssl/certs
openssl verify certs/fullchain.pem && exit 9
$SILICA certs trust --ca certs/ca-fullchain.pem --install
openssl verify certs/fullchain.pem
python3 -c 'import ssl; c = ssl.create_default_context(); print(any(\"Silica\" in str(ca) for ca in c.get_ca_certs()))'
$SILICA certs trust --uninstall
openssl verify certs/fullchain.pem && exit 9
true";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .current_dir(folder.path())
        .env("SILICA", env!("CARGO_BIN_EXE_silica"))
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(text(&output.stdout).contains("fullchain.pem: OK"));
}
