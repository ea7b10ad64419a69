//! Making certificates, beside mkcert in the same run: whole processes, from
//! start to the files on disk.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use silica_cluster::Cluster;
use silica_cluster::build::{self, Tool};

use super::{median, milliseconds};

const DOMAIN: &str = "a.example.com";

/// Prints a line for each thing that is made: time, and ratio to mkcert's.
pub(crate) fn run(cluster: &Cluster, rounds: usize) -> Result<()> {
    let silica = crate::build::build()?;
    let mkcert = build::build_tool(cluster.layout(), Tool::Mkcert)?;
    let folder = env::temp_dir().join(format!("silica-bench-certs-{}", std::process::id()));
    let measured = measure(&silica, &mkcert, &folder, rounds.max(1));
    // What is left of it is no more than a few keys of nobody's.
    let _ = fs::remove_dir_all(&folder);
    measured
}

fn measure(silica: &Path, mkcert: &Path, folder: &Path, rounds: usize) -> Result<()> {
    println!(
        "{:<34} {:>10} {:>10} {:>7}",
        "figure, p50 of whole processes", "silica", "mkcert", "ratio"
    );
    for (title, key_type, is_ecdsa, with_authority) in [
        ("CA and certificate, P-256", "p256", true, true),
        ("certificate, P-256", "p256", true, false),
        ("certificate, RSA 2048", "rsa2048", false, false),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // The first of each makes the CA and is not counted where it must exist.
        for round in 0..=rounds {
            let place = if with_authority {
                format!("{title}-{round}")
            } else {
                title.to_owned()
            };
            let place = folder.join(place);
            fs::create_dir_all(&place).with_context(|| format!("failed to create {}", place.display()))?;
            let mut command = Command::new(silica);
            command
                .args(["certs", "generate", "-d", DOMAIN, "--key-type", key_type, "-o"])
                .arg(&place);
            let own = time(&mut command)?;
            let mut command = Command::new(mkcert);
            command
                .args(is_ecdsa.then_some("-ecdsa"))
                .args([DOMAIN, "*.a.example.com"]);
            command.current_dir(&place).env("CAROOT", &place);
            let other = time(&mut command)?;
            if round > 0 {
                ours.push(own);
                theirs.push(other);
            }
        }
        let ratio = median(&ours).as_secs_f64() / median(&theirs).as_secs_f64();
        println!(
            "{title:<34} {:>10} {:>10} {ratio:>7.2}",
            milliseconds(median(&ours)),
            milliseconds(median(&theirs))
        );
    }
    Ok(())
}

fn time(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let took = began.elapsed();
    let status = status.with_context(|| format!("failed to run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}
