//! Resident memory of the installed processes, as the kernel counts it.

use std::fs;

use anyhow::{Context, Result};

/// Prints the figures of every process of the installation on this machine.
pub(crate) fn print() -> Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("failed to list processes")? {
        let path = entry.context("failed to list processes")?.path();
        // Processes end while they are listed.
        let Ok(arguments) = fs::read(path.join("cmdline")) else {
            continue;
        };
        let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        let name = match words.as_slice() {
            [b"/sandbox-manager", role, ..] => format!("sandbox-manager {}", String::from_utf8_lossy(role)),
            [b"sandbox-runtime", b"serve", ..] => "sandbox-runtime".to_owned(),
            _ => continue,
        };
        let Ok(status) = fs::read_to_string(path.join("status")) else {
            continue;
        };
        if let (Some(all), Some(own)) = (field(&status, "VmRSS:"), field(&status, "RssAnon:")) {
            found.push((name, all, own));
        }
    }
    found.sort();
    println!("process                              resident  of it anonymous");
    for (name, all, own) in found {
        println!(
            "{name:<36} {:>5.1} MiB  {:>5.1} MiB",
            mebibytes(all),
            mebibytes(own)
        );
    }
    Ok(())
}

/// A field of `/proc/PID/status`, in KiB.
fn field(status: &str, name: &str) -> Option<u32> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn mebibytes(kibibytes: u32) -> f64 {
    f64::from(kibibytes) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_read_in_kibibytes() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t  1024 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(2048));
        assert_eq!(field(status, "RssFile:"), None);
    }
}
