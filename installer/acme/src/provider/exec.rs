//! A program of the user puts the records into DNS:
//! `PROGRAM present|cleanup NAME VALUE`, once for each record, without a shell.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::{Dns01, Error, TTL, TxtRecord};

/// What is shown at most of a failed program's output, in bytes from the end.
const OUTPUT_MAX: usize = 2000;

/// Runs the program.
#[derive(Clone, Debug)]
pub struct Exec {
    program: PathBuf,
    limit: Duration,
}

impl Exec {
    /// The program has `limit` for each call.
    pub fn new(program: &Path, limit: Duration) -> Self {
        Self {
            program: program.to_owned(),
            limit,
        }
    }

    async fn call(&self, action: &'static str, record: &TxtRecord) -> Result<(), Error> {
        let program = self.program.display().to_string();
        let child = Command::new(&self.program)
            .args([action, &record.name, &record.value])
            .env("SILICA_DNS_ACTION", action)
            .env("SILICA_DNS_NAME", &record.name)
            .env("SILICA_DNS_VALUE", &record.value)
            .env("SILICA_DNS_TTL", TTL.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output();
        let ended = timeout(self.limit, child).await;
        let output = match ended {
            Ok(Ok(output)) => output,
            Ok(Err(source)) => return Err(Error::Run { program, source }),
            Err(_elapsed) => {
                return Err(Error::Endless {
                    program,
                    action,
                    name: record.name.clone(),
                    limit: self.limit,
                });
            }
        };
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Program {
            program,
            action,
            name: record.name.clone(),
            status: output.status.to_string(),
            output: tail(&output),
        })
    }
}

/// The end of what a program printed; errors count more than output.
fn tail(output: &Output) -> String {
    let printed = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    let from = printed.len().saturating_sub(OUTPUT_MAX);
    String::from_utf8_lossy(&printed[from..]).trim().to_owned()
}

impl Dns01 for Exec {
    async fn present(&self, records: &[TxtRecord]) -> Result<(), Error> {
        for record in records {
            self.call("present", record).await?;
        }
        Ok(())
    }

    async fn cleanup(&self, records: &[TxtRecord]) -> Result<(), Error> {
        let mut outcome = Ok(());
        // One that fails must not keep the others.
        for record in records {
            let done = self.call("cleanup", record).await;
            outcome = outcome.and(done);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> TxtRecord {
        TxtRecord {
            name: "_acme-challenge.a.example".into(),
            value: "$(id)".into(),
        }
    }

    #[tokio::test]
    async fn arguments_reach_the_program_as_they_are() {
        // `test` compares without a shell in between.
        let exec = Exec::new(Path::new("/bin/false"), Duration::from_secs(5));
        let failed = exec.call("present", &record()).await.unwrap_err().to_string();
        assert!(failed.contains("exit status: 1"), "{failed}");
        let exec = Exec::new(Path::new("/bin/true"), Duration::from_secs(5));
        exec.present(&[record()]).await.unwrap();
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("hook");
        std::fs::write(&script, "#!/bin/sh\nsleep 60\n").unwrap();
        std::os::unix::fs::PermissionsExt::set_mode(&mut script.metadata().unwrap().permissions(), 0o755);
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let exec = Exec::new(&script, Duration::from_millis(100));
        let late = exec.call("cleanup", &record()).await.unwrap_err();
        assert!(matches!(late, Error::Endless { .. }), "{late}");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let exec = Exec::new(Path::new("/nowhere/hook"), Duration::from_secs(5));
        let missing = exec.call("present", &record()).await.unwrap_err();
        assert_eq!(missing.to_string(), "failed to run /nowhere/hook");
    }
}
