//! What zlint, with all of its rules, and pkilint find in the CA and the certificate, beside
//! what they find in those of mkcert.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Tools, create, generate, mkcert, time};

/// The findings that the project's own tests accept, with reasons.
#[path = "../../../../../installer/certs/tests/lint/ignored.rs"]
mod ignored;

/// What zlint reports for a rule that is kept or does not apply.
const NO_FINDING: [&str; 4] = ["pass", "NA", "NE", "reserved"];
/// Worst first. Both linters together.
const SEVERITIES: [&str; 6] = ["fatal", "error", "warning", "notice", "info", "debug"];

/// How many of them, from the worst on, ask for a reason.
const GRAVE: usize = 3;

/// Findings by severity, how many of them have a known reason, and which grave ones have none.
#[derive(Debug, Default, Eq, PartialEq)]
struct Findings {
    by_severity: BTreeMap<String, usize>,
    with_reason: usize,
    without_reason: Vec<String>,
}

impl Findings {
    fn add(&mut self, severity: &str, name: &str) {
        let severity = match severity.to_ascii_lowercase().as_str() {
            "warn" => "warning".to_owned(),
            other => other.to_owned(),
        };
        if ignored::IGNORED.iter().any(|(ignored, _)| *ignored == name) {
            self.with_reason += 1;
        } else if SEVERITIES[..GRAVE].contains(&severity.as_str()) {
            self.without_reason.push(name.to_owned());
        }
        *self.by_severity.entry(severity).or_default() += 1;
    }

    /// A line of the table, and one more for what has no reason.
    fn row(&self, title: &str) -> String {
        let counts = SEVERITIES.map(|severity| {
            let count = self.by_severity.get(severity).copied().unwrap_or_default();
            format!("{count:>8}")
        });
        let line = format!("{title:<34}{} {:>12}", counts.join(""), self.with_reason);
        if self.without_reason.is_empty() {
            line
        } else {
            format!("{line}\n    without reason: {}", self.without_reason.join(", "))
        }
    }
}

/// Prints a line for each linter and certificate.
pub(super) fn run(tools: &Tools, folder: &Path) -> Result<()> {
    create(folder)?;
    // For as long as `silica install` makes them; the command's own default is the longer one of the
    // script that it replaces.
    time(generate(tools, "p256", folder).args(["--days", "90"]))?;
    time(&mut mkcert(tools, true, folder))?;
    let severities = SEVERITIES.map(|severity| format!("{severity:>8}"));
    println!(
        "\n{:<34}{} {:>12}",
        "lint findings",
        severities.join(""),
        "with reason"
    );
    for (maker, root, leaf) in [
        ("silica", "ca-fullchain.pem", "fullchain.pem"),
        ("mkcert", "rootCA.pem", "mkcert.pem"),
    ] {
        let (root, leaf) = (folder.join(root), folder.join(leaf));
        for (what, file) in [("CA", &root), ("certificate", &leaf)] {
            let found = parse_zlint(&output(Command::new(&tools.zlint).arg(file))?)?;
            println!("{}", found.row(&format!("zlint, {what} of {maker}")));
            let found = pkilint(tools, "lint_pkix_cert", &[file])?;
            println!("{}", found.row(&format!("pkilint, {what} of {maker}")));
        }
        let found = pkilint(tools, "lint_pkix_signer_signee_cert_chain", &[&root, &leaf])?;
        println!("{}", found.row(&format!("pkilint, the pair of {maker}")));
    }
    println!("the reasons are in installer/certs/tests/lint/ignored.rs");
    Ok(())
}

fn pkilint(tools: &Tools, module: &str, files: &[&Path]) -> Result<Findings> {
    let module = format!("pkilint.bin.{module}");
    let words = ["-m", &module, "lint", "-s", "INFO", "-f", "CSV"];
    let mut command = Command::new(&tools.pkilint);
    command.args(words).args(files.iter().map(AsRef::<OsStr>::as_ref));
    parse_pkilint(&output(&mut command)?)
}

/// What it printed. The exit code tells nothing: pkilint counts its findings with it.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("failed to run {command:?}"))?;
    ensure!(
        output.stderr.is_empty(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).with_context(|| format!("failed to read the output of {command:?}"))
}

/// zlint's JSON: `{"RULE": {"result": "pass", ..}, ..}`.
fn parse_zlint(text: &str) -> Result<Findings> {
    let results: BTreeMap<String, Value> =
        serde_json::from_str(text).context("failed to read zlint's results")?;
    let mut findings = Findings::default();
    for (name, result) in &results {
        let result = result["result"]
            .as_str()
            .with_context(|| format!("failed to read zlint's result of {name}"))?;
        if !NO_FINDING.contains(&result) {
            findings.add(result, name);
        }
    }
    Ok(findings)
}

/// pkilint's CSV; only its last column may hold commas.
fn parse_pkilint(text: &str) -> Result<Findings> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    ensure!(
        head == "node_path,validator,severity,code,message",
        "failed to read pkilint's table: it begins with {head:?}"
    );
    let mut findings = Findings::default();
    for line in lines.filter(|line| !line.is_empty()) {
        let mut columns = line.splitn(5, ',').skip(2);
        let (Some(severity), Some(code)) = (columns.next(), columns.next()) else {
            // The rest of a message with a line end in it.
            continue;
        };
        findings.add(severity, code);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_rules_are_no_findings_and_reasons_are_counted() {
        let text = r#"{"e_a": {"result": "pass"}, "e_b": {"result": "NA"}, "w_c": {"result": "warn"},
            "e_sub_cert_aia_missing": {"result": "error"}, "e_d": {"result": "error", "details": "x"}}"#;
        let found = parse_zlint(text).unwrap();
        assert_eq!(found.by_severity["warning"], 1);
        assert_eq!(found.by_severity["error"], 2);
        assert_eq!(found.by_severity.len(), 2);
        assert_eq!(found.with_reason, 1);
        let line = found.row("x");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..8], ["x", "0", "2", "1", "0", "0", "0", "1"]);
        assert!(line.ends_with("without reason: e_d, w_c"), "{line}");
        assert!(parse_zlint("[]").is_err());
    }

    #[test]
    fn severities_of_a_table_are_counted() {
        let text = "node_path,validator,severity,code,message\n\
                    certificate.a,B,NOTICE,pkix.c,\"one, two\"\n\
                    certificate.a,B,ERROR,pkix.invalid_domain_name_syntax,\n\n";
        let found = parse_pkilint(text).unwrap();
        assert_eq!(
            found.by_severity,
            BTreeMap::from([("notice".into(), 1), ("error".into(), 1)])
        );
        assert_eq!(found.with_reason, 1);
        assert!(parse_pkilint("Traceback").is_err());
    }
}
