//! Keeps the documentation true: its links lead somewhere, and what it says
//! about `silica` exists on the command line.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory};
use silica::{
    cli::{
        Cli,
        check::{PREFLIGHT, TROUBLESHOOTING},
        exit::Exit,
    },
    delivery::by_hand,
    settings::parameter,
};

/// Below these numbers the reader of the documents has gone blind.
const LINKS_MIN: usize = 20;
const COMMANDS_MIN: usize = 40;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every document with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
        .map(|name| root().join(name))
        .into();
    let folder = fs::read_dir(root().join("docs")).unwrap();
    paths.extend(
        folder
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// Lines of code blocks, continued lines joined, and code spans of the prose.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut prose = String::new();
    let mut is_block = false;
    for line in text.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            // A comment may say anything.
            found.push(line.split(" # ").next().unwrap_or_default().to_owned());
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    // A span never crosses a paragraph, so an odd backtick spoils only its own.
    for paragraph in prose.split("\n\n") {
        found.extend(
            paragraph
                .split('`')
                .skip(1)
                .step_by(2)
                .map(|span| span.replace('\n', " ")),
        );
    }
    found
}

/// The words behind each `silica` that is called in a piece of code.
fn calls(code: &str) -> Vec<Vec<&str>> {
    code.split(['|', ';', '&', '(', ')', '"', '<', '>'])
        .filter_map(|command| {
            let words: Vec<&str> = command.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "silica")?;
            // Else it is prose, or the crate's name as in `cargo test -p silica`.
            let begins = words[..at]
                .iter()
                .all(|word| ["$", "eval", "sudo"].contains(word) || word.contains('='));
            let is_call = words.get(at + 1).is_some_and(|next| {
                next.starts_with(|first: char| first.is_ascii_lowercase() || first == '-')
            });
            (begins && is_call).then(|| words[at + 1..].to_vec())
        })
        .collect()
}

fn has_flag(command: &Command, word: &str) -> bool {
    let name = word.split('=').next().unwrap_or_default();
    command.get_arguments().any(|argument| {
        argument
            .get_long()
            .is_some_and(|long| name == format!("--{long}"))
            || argument
                .get_short()
                .is_some_and(|short| name == format!("-{short}"))
    })
}

/// What is wrong with a call, if anything.
fn fault(silica: &Command, call: &[&str]) -> Option<String> {
    let mut command = silica;
    for word in call {
        if word.starts_with('-') {
            if !has_flag(command, word) {
                return Some(format!("`{}` has no flag {word}", command.get_name()));
            }
        } else if let Some(sub) = command.find_subcommand(word) {
            command = sub;
        } else if command.has_subcommands() {
            return Some(format!("`{}` has no command {word}", command.get_name()));
        }
    }
    None
}

fn silica() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// A command and everything below it.
fn with_descendants(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_descendants);
    std::iter::once(command).chain(below).collect()
}

#[test]
fn the_commands_that_load_an_archive_are_in_the_table() {
    let page = document("docs/install.md");
    for (nodes, command) in by_hand::COMMANDS {
        let row = format!("| {nodes} | `{command}` |");
        assert!(page.contains(&row), "docs/install.md has no row {row}");
    }
}

#[test]
fn relative_links_lead_to_files() {
    let mut checked = 0;
    for (path, text) in documents() {
        for link in text.split("](").skip(1) {
            let target = link.split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let found = path.parent().unwrap().join(file);
            assert!(
                found.exists(),
                "{} links to {file}, which is missing",
                path.display()
            );
            checked += 1;
        }
    }
    assert!(checked >= LINKS_MIN, "only {checked} links were found");
}

#[test]
fn anchors_lead_to_headings() {
    for (path, text) in documents() {
        for link in text.split("](").skip(1) {
            let target = link.split([')', ' ']).next().unwrap_or_default();
            let Some((file, anchor)) = target.split_once('#').filter(|_| !target.contains("://")) else {
                continue;
            };
            let of = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            let headings = fs::read_to_string(&of).unwrap();
            let is_there = headings
                .lines()
                .filter(|line| line.starts_with('#'))
                .any(|line| slug(line) == anchor);
            assert!(
                is_there,
                "{} links to {target}, which has no such heading",
                path.display()
            );
        }
    }
}

/// The anchor that a heading gets.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn documented_commands_and_flags_exist() {
    let silica = silica();
    let mut checked = 0;
    for (path, text) in documents() {
        for code in code(&text) {
            for call in calls(&code) {
                assert_eq!(fault(&silica, &call), None, "{}: {code}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked >= COMMANDS_MIN, "only {checked} commands were found");
}

#[test]
fn flags_that_stand_alone_belong_to_some_command() {
    let silica = silica();
    let commands = with_descendants(&silica);
    for (path, text) in documents() {
        // Three dashes begin a difference.
        let is_flag = |code: &&String| code.starts_with("--") && !code.starts_with("---");
        for code in code(&text).iter().filter(is_flag) {
            for word in code.split([' ', ',']).filter(|word| word.starts_with("--")) {
                assert!(
                    commands.iter().any(|command| has_flag(command, word)),
                    "{}: no command has {word}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_flag_of_install_is_documented() {
    let text = document("docs/install.md") + &document(parameter::REFERENCE_FILE);
    let silica = silica();
    let install = silica.find_subcommand("install").unwrap();
    let missing: Vec<String> = install
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|long| !["help", "version"].contains(long))
        .map(|long| format!("--{long}"))
        .filter(|flag| !text.contains(flag.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/install.md does not mention {missing:?}");
}

#[test]
fn the_published_schema_and_the_reference_are_fresh() {
    let schema = format!("{:#}\n", parameter::schema());
    for (file, fresh, command) in [
        (parameter::SCHEMA_FILE, schema, "schema"),
        (parameter::REFERENCE_FILE, parameter::reference(), "reference"),
    ] {
        assert!(
            document(file) == fresh,
            "{file} is stale: cargo run -q -p silica -- config {command} > {file}"
        );
    }
}

#[test]
fn every_check_of_the_preflight_is_explained_where_its_hint_points() {
    let text = document(TROUBLESHOOTING);
    for (id, _) in PREFLIGHT {
        assert!(
            text.lines().any(|line| line.starts_with('#') && slug(line) == id),
            "{TROUBLESHOOTING} has no heading for {id}"
        );
    }
}

/// Texts of Kubernetes, not of ours.
const FOREIGN_TEXTS: [&str; 3] = ["ImagePullBackOff", "ErrImagePull", "CrashLoopBackOff"];

#[test]
fn messages_that_are_quoted_exist() {
    let page = document(TROUBLESHOOTING);
    let (_, table) = page.split_once("## During installation").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let sources = sources(&root().join("installer/src"));
    let mut checked = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split(" | ").next().unwrap();
        for text in cell.split('`').skip(1).step_by(2) {
            for part in text.split("...").map(|part| part.trim_matches([' ', ':', ';'])) {
                let is_known = FOREIGN_TEXTS.contains(&part) || sources.contains(part);
                assert!(is_known, "{TROUBLESHOOTING} quotes {part:?}, which no code says");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} texts were found");
}

/// All code below a folder, lines of one text joined.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else {
            let file = fs::read_to_string(&path).unwrap();
            for line in file.lines() {
                match line.strip_suffix('\\') {
                    Some(begun) => text.push_str(begun.trim_start()),
                    None => text.extend([line.trim_start(), "\n"]),
                }
            }
        }
    }
    text
}

/// Paths of tests and sources that the comparison gives as evidence.
#[test]
fn evidence_of_the_comparison_exists() {
    let page = document("docs/comparison.md");
    let folders = [root(), root().join("installer"), root().join("installer/src")];
    let mut checked = 0;
    for span in page.split('`').skip(1).step_by(2) {
        let is_path = span.contains('/') && !span.contains([' ', ':']) && !span.starts_with('/');
        if !is_path || span.starts_with("kubernetes.io/") {
            continue;
        }
        assert!(
            folders.iter().any(|folder| folder.join(span).exists()),
            "docs/comparison.md names {span}, which is nowhere"
        );
        checked += 1;
    }
    assert!(checked > 50, "only {checked} paths were found");
}

#[test]
fn every_exit_code_is_documented() {
    let text = document("docs/troubleshooting.md");
    for exit in [
        Exit::Success,
        Exit::Failed,
        Exit::Changes,
        Exit::Usage,
        Exit::Config,
        Exit::Unreachable,
        Exit::Busy,
        Exit::Forbidden,
        Exit::Findings,
        Exit::Timeout,
        Exit::Interrupted,
    ] {
        let row = format!("| `{}` |", exit as u8);
        assert!(
            text.contains(&row),
            "docs/troubleshooting.md lacks {exit:?}: {row}"
        );
    }
}

#[test]
fn inventions_are_noticed() {
    let silica = silica();
    let faults = |code: &str| calls(code).iter().filter_map(|call| fault(&silica, call)).count();
    assert_eq!(faults("$ silica install --domain a.example.com -y"), 0);
    assert_eq!(faults("eval \"$(silica env --ca-file x)\""), 0);
    assert_eq!(faults("silica certs generate -d a.b -o certs -D 365"), 0);
    assert_eq!(faults("cargo test -p silica --test docs"), 0);
    for wrong in [
        "silica upgrade",
        "silica install --invented",
        "silica certs invent x",
        "x | silica status --adopt",
    ] {
        assert_eq!(faults(wrong), 1, "{wrong}");
    }
}

#[test]
fn the_page_of_errors_is_what_the_doctor_knows() {
    let page = document("docs/errors.md");
    assert_eq!(
        page.trim(),
        silica::doctor::to_markdown().trim(),
        "renew it: silica doctor --list > docs/errors.md"
    );
}
