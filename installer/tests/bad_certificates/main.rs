//! `silica certs` with bad files and bad disks: each case has its exit code, all
//! reasons at once, no secret in what is printed, and a folder that is as before.
//! Files come from openssl and from our own library; no cluster.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod disk;
mod files;
mod generate;
mod import;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const DOMAIN: &str = "a.example.com";
const PASSWORD: &str = "correct horse 9";
const WRONG: &str = "battery staple 7";
const CONVERT: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW";

fn run(program: &str, folder: &Path, args: &[&str], password: Option<&str>) -> Output {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(folder)
        .env_remove("KUBECONFIG")
        .env_remove("SILICA_KEY_PASSWORD")
        .env("HOME", folder);
    if let Some(password) = password {
        command.env("SILICA_KEY_PASSWORD", password);
    }
    command.output().unwrap()
}

fn openssl(folder: &Path, line: &str) {
    let args: Vec<&str> = line.split_whitespace().collect();
    let output = run("openssl", folder, &args, None);
    assert!(output.status.success(), "openssl {line}: {}", stderr(&output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below the folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(content(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// One run and what has to come of it.
#[derive(Clone, Copy)]
struct Case {
    args: &'static str,
    /// For the variable.
    password: Option<&'static str>,
    code: i32,
    says: &'static [&'static str],
}

const fn case(args: &'static str, code: i32, says: &'static [&'static str]) -> Case {
    Case {
        args,
        password: None,
        code,
        says,
    }
}

const fn with(password: &'static str, case: Case) -> Case {
    Case {
        password: Some(password),
        ..case
    }
}

fn check(folder: &Path, case: &Case, prefix: &[&str]) {
    let before = content(folder);
    let mut args = prefix.to_vec();
    args.extend(case.args.split_whitespace());
    let output = run(env!("CARGO_BIN_EXE_silica"), folder, &args, case.password);
    let message = stderr(&output);
    let title = format!("silica {}", args.join(" "));
    assert_eq!(output.status.code(), Some(case.code), "{title}:\n{message}");
    for part in case.says {
        assert!(message.contains(part), "{title}: {part:?} is not in:\n{message}");
    }
    assert_no_secret(folder, &output, &title);
    if case.code != 0 {
        assert!(content(folder) == before, "{title}: the folder is not as before");
        assert!(output.stdout.is_empty(), "{title}: a result was printed");
    }
}

/// No line of any key, and no password.
fn assert_no_secret(folder: &Path, output: &Output, title: &str) {
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(output));
    for secret in [PASSWORD, WRONG] {
        assert!(!shown.contains(secret), "{title}: shows a password");
    }
    let files = content(folder).into_values();
    for text in files.filter_map(|bytes| String::from_utf8(bytes).ok()) {
        let lines = text
            .lines()
            .filter(|line| line.len() > 30 && !line.contains("-----"));
        for line in lines {
            assert!(!shown.contains(line), "{title}: shows a line of a file");
        }
    }
}
