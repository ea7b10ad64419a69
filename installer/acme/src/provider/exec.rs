//! A program of the user puts the records into DNS:
//! `PROGRAM present|cleanup NAME VALUE`, once for each record, without a shell.
//!
//! It runs in a process group of its own. Ctrl-C on the terminal does not reach
//! it, so that it can still clean up; and when it is given up, everything that it
//! started ends with it, so that nothing is created behind the cleanup.

use std::{
    path::{Path, PathBuf},
    pin::pin,
    process::{Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
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
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(source) => return Err(Error::Run { program, source }),
        };
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let work = pin!(child.wait_with_output());
        // Behind the work, and thus dropped before it: the leader's id is still its own.
        let mut group = Group(id.and_then(Pid::from_raw));
        let ended = timeout(self.limit, work).await;
        let output = match ended {
            Ok(output) => {
                // What it left running on purpose stays.
                group.0 = None;
                match output {
                    Ok(output) => output,
                    Err(source) => return Err(Error::Run { program, source }),
                }
            }
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

/// The processes of a call that is not over; they end with this value.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // They may have ended just now.
            let _ = kill_process_group(leader, Signal::KILL);
        }
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
        let late = folder.path().join("late");
        // Another process does the work, as in most scripts.
        let text = format!("#!/bin/sh\n(sleep 1; touch {})\n", late.display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let exec = Exec::new(&script, Duration::from_millis(100));
        let error = exec.call("cleanup", &record()).await.unwrap_err();
        assert!(matches!(error, Error::Endless { .. }), "{error}");
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert!(!late.exists(), "what it started went on");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let exec = Exec::new(Path::new("/nowhere/hook"), Duration::from_secs(5));
        let missing = exec.call("present", &record()).await.unwrap_err();
        assert_eq!(missing.to_string(), "failed to run /nowhere/hook");
    }
}
