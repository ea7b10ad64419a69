//! Making keys and certificates: whole processes, from start to the files on disk, in turns.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{DOMAIN, Tools, create, generate, mkcert, time};
use crate::bench::{median, milliseconds};

/// A kind of key, in the words of each maker.
struct Kind {
    title: &'static str,
    silica: &'static str,
    openssl: [&'static str; 3],
    /// Whether mkcert makes it, and as ECDSA. It knows P-256 and RSA 2048 only.
    mkcert: Option<bool>,
}

const KINDS: [Kind; 3] = [
    Kind {
        title: "P-256",
        silica: "p256",
        openssl: ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        mkcert: Some(true),
    },
    Kind {
        title: "P-384",
        silica: "p384",
        openssl: ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        mkcert: None,
    },
    Kind {
        title: "RSA 2048",
        silica: "rsa2048",
        openssl: ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        mkcert: Some(false),
    },
];

/// What the makers needed for the same thing, round by round; nothing for a maker that
/// cannot make it.
#[derive(Default)]
struct Times {
    silica: Vec<Duration>,
    mkcert: Vec<Duration>,
    openssl: Vec<Duration>,
    /// `openssl genpkey`: the key alone.
    key: Vec<Duration>,
}

/// Prints a table of times, and one of rates.
pub(super) fn run(tools: &Tools, folder: &Path, rounds: usize) -> Result<()> {
    let both = authority_and_certificate(tools, folder, rounds)?;
    let mut kinds = Vec::new();
    for kind in &KINDS {
        kinds.push((kind.title, certificates(tools, kind, folder, rounds)?));
    }
    println!(
        "{:<30} {:>10} {:>10} {:>10} {:>10} {:>11}",
        "p50 of whole processes", "silica", "mkcert", "openssl", "to mkcert", "to openssl"
    );
    println!("{}", row("CA and certificate, P-256", &both));
    for (title, times) in &kinds {
        println!("{}", row(&format!("certificate, {title}"), times));
    }
    println!(
        "\n{:<30} {:>10} {:>10} {:>10} {:>16}",
        "keys per second", "silica", "mkcert", "openssl", "openssl genpkey"
    );
    for (title, times) in &kinds {
        println!(
            "{:<30} {:>10} {:>10} {:>10} {:>16}",
            format!("{title}, one process each"),
            rate(&times.silica),
            rate(&times.mkcert),
            rate(&times.openssl),
            rate(&times.key)
        );
    }
    println!("silica, mkcert and openssl req also sign a certificate for it, openssl genpkey does not");
    Ok(())
}

fn row(title: &str, times: &Times) -> String {
    format!(
        "{title:<30} {:>10} {:>10} {:>10} {:>10} {:>11}",
        shown(&times.silica),
        shown(&times.mkcert),
        shown(&times.openssl),
        ratio(&times.silica, &times.mkcert),
        ratio(&times.silica, &times.openssl)
    )
}

fn shown(times: &[Duration]) -> String {
    if times.is_empty() {
        "-".to_owned()
    } else {
        milliseconds(median(times))
    }
}

/// Below 1 is faster than the reference.
fn ratio(times: &[Duration], reference: &[Duration]) -> String {
    let (own, other) = (median(times).as_secs_f64(), median(reference).as_secs_f64());
    if own > 0.0 && other > 0.0 {
        format!("{:.2}", own / other)
    } else {
        "-".to_owned()
    }
}

/// How many there are in a second when one follows the other. Of the mean: the time that an
/// RSA key takes is chance.
fn rate(times: &[Duration]) -> String {
    let all = times.iter().sum::<Duration>().as_secs_f64();
    let Some(count) = u32::try_from(times.len()).ok().filter(|_| all > 0.0) else {
        return "-".to_owned();
    };
    format!("{:.1}", f64::from(count) / all)
}

fn authority_and_certificate(tools: &Tools, folder: &Path, rounds: usize) -> Result<Times> {
    let kind = &KINDS[0];
    let mut times = Times::default();
    // The first one warms the disk up and is not counted.
    for round in 0..=rounds {
        let place = folder.join(format!("both-{round}"));
        create(&place)?;
        let own = time(&mut generate(tools, kind.silica, &place))?;
        let theirs = time(&mut mkcert(tools, true, &place))?;
        let reference = time(&mut openssl_authority(&place))? + time(&mut openssl_leaf(kind, &place))?;
        if round > 0 {
            times.silica.push(own);
            times.mkcert.push(theirs);
            times.openssl.push(reference);
        }
    }
    Ok(times)
}

fn certificates(tools: &Tools, kind: &Kind, folder: &Path, rounds: usize) -> Result<Times> {
    let place = folder.join(kind.silica);
    create(&place)?;
    time(&mut openssl_authority(&place)).context("failed to make a CA with OpenSSL 3")?;
    let mut times = Times::default();
    // The first of each makes the CA.
    for round in 0..=rounds {
        let own = time(&mut generate(tools, kind.silica, &place))?;
        let theirs = match kind.mkcert {
            Some(is_ecdsa) => Some(time(&mut mkcert(tools, is_ecdsa, &place))?),
            None => None,
        };
        let reference = time(&mut openssl_leaf(kind, &place))?;
        let key = time(&mut openssl_key(kind, &place))?;
        if round > 0 {
            times.silica.push(own);
            times.mkcert.extend(theirs);
            times.openssl.push(reference);
            times.key.push(key);
        }
    }
    Ok(times)
}

fn openssl(folder: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder);
    command
}

fn openssl_authority(folder: &Path) -> Command {
    let mut command = openssl(folder);
    command.args(["req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=bench"]);
    command.args(["-newkey", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    command.args(["-keyout", "openssl-ca.key", "-out", "openssl-ca.pem"]);
    command
}

fn openssl_leaf(kind: &Kind, folder: &Path) -> Command {
    let names = format!("subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}");
    let mut command = openssl(folder);
    command.args(["req", "-x509", "-nodes", "-days", "90", "-subj", "/CN=bench-leaf"]);
    command.args(["-CA", "openssl-ca.pem", "-CAkey", "openssl-ca.key"]);
    command.arg("-newkey").args(kind.openssl);
    command.args(["-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"]);
    command.args(["-keyout", "openssl.key", "-out", "openssl.pem"]);
    command
}

fn openssl_key(kind: &Kind, folder: &Path) -> Command {
    let mut command = openssl(folder);
    command.args(["genpkey", "-algorithm"]).args(kind.openssl);
    command.args(["-out", "openssl-alone.key"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(list: &[u64]) -> Vec<Duration> {
        list.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_ratio_needs_both_sides() {
        assert_eq!(ratio(&times(&[5, 5, 90]), &times(&[10])), "0.50");
        assert_eq!(ratio(&times(&[5]), &[]), "-");
        assert_eq!(ratio(&[], &times(&[5])), "-");
    }

    #[test]
    fn a_rate_counts_slow_ones_in() {
        assert_eq!(rate(&times(&[10, 190])), "10.0");
        assert_eq!(rate(&[]), "-");
    }

    #[test]
    fn who_cannot_make_it_has_no_figure() {
        let line = row(
            "x",
            &Times {
                silica: times(&[4]),
                openssl: times(&[8]),
                ..Times::default()
            },
        );
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["x", "4.0", "ms", "-", "8.0", "ms", "-", "0.50"]);
    }
}
