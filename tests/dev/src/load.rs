//! A process that never stops asking, and what it counted: it answers every line of its input with
//! what has happened since the last one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long a client that is told to end may take before it is killed.
const ENDING: Duration = Duration::from_secs(10);

/// Requests so far.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    title: String,
    succeeded: u64,
    failed: u64,
    /// Of the first that failed.
    error: String,
}

impl Tally {
    /// Requests that had a good answer.
    pub(crate) const fn succeeded(&self) -> u64 {
        self.succeeded
    }

    /// An error when a request has failed.
    pub(crate) fn expect_no_failure(&self) -> Result<()> {
        ensure!(
            self.failed == 0,
            "{}: {} of {} requests failed, the first with: {}",
            self.title,
            self.failed,
            self.succeeded + self.failed,
            self.error
        );
        Ok(())
    }

    /// A line of the table.
    pub(crate) fn row(&self) -> String {
        let line = format!(
            "  {:<40} {:>10} {:>10}   {}",
            self.title, self.succeeded, self.failed, self.error
        );
        line.trim_end().to_owned()
    }

    fn add(&mut self, more: &Self) {
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        if self.error.is_empty() {
            self.error.clone_from(&more.error);
        }
    }

    /// `SUCCEEDED<tab>FAILED<tab>FIRST ERROR`, since the last time.
    fn parse(line: &str) -> Result<Self> {
        let mut parts = line.trim_end_matches('\n').splitn(3, '\t');
        let mut number = || {
            let part = parts.next().and_then(|part| part.parse().ok());
            part.with_context(|| format!("failed to read the counts of a client: {line:?}"))
        };
        Ok(Self {
            title: String::new(),
            succeeded: number()?,
            failed: number()?,
            error: parts.next().unwrap_or_default().to_owned(),
        })
    }
}

/// A client at work; it ends with this value.
pub(crate) struct Client {
    child: Child,
    /// Closed to let it end.
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    tally: Tally,
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client {
    /// Starts the command.
    pub(crate) fn start(title: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {title}"))?;
        let streams = (child.stdin.take(), child.stdout.take());
        let (Some(questions), Some(answers)) = streams else {
            anyhow::bail!("failed to talk to a client");
        };
        Ok(Self {
            child,
            questions: Some(questions),
            answers: BufReader::new(answers),
            tally: Tally {
                title: title.to_owned(),
                ..Tally::default()
            },
        })
    }

    /// Adds what it did since the last time, and returns that.
    fn count(&mut self) -> Result<Tally> {
        self.questions
            .as_mut()
            .context("failed to ask a client: it was told to end")?
            .write_all(b"\n")
            .context("failed to ask a client")?;
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .context("failed to hear from a client")?;
        let counts = Tally::parse(&line)?;
        self.tally.add(&counts);
        Ok(counts)
    }

    /// Waits until it has had answers to requests that it made from now on.
    pub(crate) fn wait_for_more(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        // The answer to the request under way may be older than the call.
        let mut wanted: u64 = 2;
        self.count()?;
        while wanted > 0 {
            ensure!(
                Instant::now() < deadline,
                "{} has no answer within {} s: {}",
                self.tally.title,
                patience.as_secs(),
                self.tally.error
            );
            std::thread::sleep(Duration::from_millis(20));
            wanted = wanted.saturating_sub(self.count()?.succeeded);
        }
        Ok(())
    }

    /// All requests since the last tally.
    pub(crate) fn tally(&mut self) -> Tally {
        let fresh = Tally {
            title: self.tally.title.clone(),
            ..Tally::default()
        };
        std::mem::replace(&mut self.tally, fresh)
    }

    /// Ends it. What it has done last counts, too. It has some time to take its sandbox away.
    pub(crate) fn stop(mut self) -> Result<Tally> {
        self.count()?;
        let tally = self.tally();
        drop(self.questions.take());
        let deadline = Instant::now() + ENDING;
        while self
            .child
            .try_wait()
            .context("failed to wait for a client")?
            .is_none()
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_the_first_error_stays() {
        let mut all = Tally::default();
        for line in ["3\t0\t\n", "1\t2\tRuntimeError: status 503\n", "0\t1\tother\n"] {
            all.add(&Tally::parse(line).unwrap());
        }
        assert_eq!((all.succeeded, all.failed), (4, 3));
        assert_eq!(all.error, "RuntimeError: status 503");
        assert!(all.row().ends_with("RuntimeError: status 503"));
    }

    #[test]
    fn a_client_that_died_is_an_error() {
        assert!(Tally::parse("").is_err());
        assert!(Tally::parse("Traceback\t1\t").is_err());
    }
}
