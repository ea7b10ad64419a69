//! Everything the CLI shows: progress and checks on standard error, results on
//! standard output. No other module prints.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{
    check::{Check, Report, Verdict},
    error::Error,
};

/// Form of the results.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document on standard output.
    Json,
}

/// Form of the results of commands that check before they act.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ReportForm {
    /// For people.
    #[default]
    Text,
    /// For people: of the checks, only those with problems.
    Short,
    /// For programs: one JSON document on standard output.
    Json,
}

impl From<ReportForm> for Output {
    fn from(form: ReportForm) -> Self {
        match form {
            ReportForm::Text | ReportForm::Short => Self::Text,
            ReportForm::Json => Self::Json,
        }
    }
}

const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Shows progress. Cloning shares the state.
#[derive(Clone)]
pub struct Printer {
    output: Output,
    state: Arc<Mutex<State>>,
}

struct State {
    phase: Option<(String, Instant)>,
    notes: BTreeSet<String>,
    spinner: Option<ProgressBar>,
}

impl Printer {
    /// A printer for one run.
    pub fn new(output: Output) -> Self {
        Self {
            output,
            state: Arc::new(Mutex::new(State {
                phase: None,
                notes: BTreeSet::new(),
                spinner: None,
            })),
        }
    }

    /// The form of the results.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Name of the phase that is under way, for the message of an interrupted run.
    pub fn phase(&self) -> Option<String> {
        self.with(|state| state.phase.as_ref().map(|(name, _)| name.clone()))
    }

    /// Starts a phase.
    pub fn start(&self, name: &str) {
        let spinner = (self.output == Output::Text && can_animate()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar.set_message(name.to_owned());
            bar
        });
        self.with(|state| {
            state.phase = Some((name.to_owned(), Instant::now()));
            state.notes.clear();
            state.spinner = spinner;
        });
    }

    /// Tells what the phase is waiting for; the same text is shown once a phase.
    pub fn note(&self, text: &str) {
        let line = self.with(|state| {
            let name = state
                .phase
                .as_ref()
                .map(|(name, _)| name.as_str())
                .unwrap_or_default();
            let line = format!("{name}: {text}");
            if let Some(spinner) = &state.spinner {
                spinner.set_message(line);
                return None;
            }
            state.notes.insert(text.to_owned()).then_some(line)
        });
        if let Some(line) = line {
            self.line(&format!("{DIM}·{DIM:#} {line}"));
        }
    }

    /// Ends the phase with what it achieved.
    pub fn done(&self, result: &str) {
        let (name, elapsed) = self.stop();
        let seconds = elapsed.as_secs_f32();
        self.line(&format!(
            "{GREEN}✓{GREEN:#} {name}: {result} {DIM}({seconds:.1} s){DIM:#}"
        ));
    }

    /// Ends a phase without a line of its own.
    pub fn stop(&self) -> (String, Duration) {
        self.with(|state| {
            if let Some(spinner) = state.spinner.take() {
                spinner.finish_and_clear();
            }
            state
                .phase
                .take()
                .map(|(name, start)| (name, start.elapsed()))
                .unwrap_or_default()
        })
    }

    /// A line that stands for itself.
    pub fn info(&self, text: impl Display) {
        self.line(&text.to_string());
    }

    /// Something the user should know, though the run goes on.
    pub fn warn(&self, text: impl Display) {
        self.line(&format!("{YELLOW}‼{YELLOW:#} {text}"));
    }

    /// The checks of a preflight by category; `is_short` leaves out those that are fine.
    pub fn report(&self, report: &Report, is_short: bool) {
        let mut category = None;
        for check in &report.checks {
            if is_short && matches!(check.verdict, Verdict::Pass | Verdict::Skip) {
                continue;
            }
            if check.category != category {
                category = check.category;
                if let Some(category) = category {
                    self.line(category.title());
                }
            }
            self.check(check);
        }
    }

    /// One finished check, with its reason and hint when it is not fine.
    pub fn check(&self, check: &Check) {
        for line in lines(check) {
            self.line(&line);
        }
    }

    /// Asks on the terminal; `None` when there is none. Only yes is yes.
    pub fn ask(&self, question: &str) -> Option<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let mut out = anstream::stderr().lock();
        let _ = write!(out, "{question} [y/N] ");
        let _ = out.flush();
        drop(out);
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }

    /// The reason why a run failed, with what to do next.
    pub fn failure(&self, error: &Error) {
        self.stop();
        let mut out = anstream::stderr().lock();
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(out, "{RED}error:{RED:#} {error}");
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let _ = writeln!(out, "  because: {cause}");
            source = cause.source();
        }
        if let Some(hint) = error.hint() {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }

    /// The result of a command, on standard output. A result that is lost is a
    /// failure: a full disk must not leave half a file behind a success.
    pub fn result(&self, text: impl Display) -> Result<(), Error> {
        write_whole(&mut anstream::stdout().lock(), &text.to_string()).map_err(Error::Output)
    }

    /// The result of a command as JSON, on standard output.
    pub fn json(&self, value: &serde_json::Value) -> Result<(), Error> {
        self.result(format!("{value:#}"))
    }

    fn line(&self, text: &str) {
        let write = || {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        };
        match self.with(|state| state.spinner.clone()) {
            Some(spinner) => spinner.suspend(write),
            None => write(),
        }
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes a text and the end of its last line. A reader that has seen enough, such
/// as `head`, is no failure.
fn write_whole(out: &mut impl Write, text: &str) -> io::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(end.as_bytes()))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// One finished check: a line, and the reason and hint when it is not fine.
pub fn lines(check: &Check) -> Vec<String> {
    let (style, glyph) = match check.verdict {
        Verdict::Pass => (GREEN, '✓'),
        Verdict::Warn => (YELLOW, '‼'),
        Verdict::Fail => (RED, '✗'),
        Verdict::Skip => (DIM, '-'),
    };
    let elapsed = check
        .elapsed_ms
        .map(|elapsed| format!(" {DIM}({elapsed} ms){DIM:#}"));
    let mut lines = vec![format!(
        "{style}{glyph}{style:#} {}{}",
        check.title,
        elapsed.unwrap_or_default()
    )];
    if !check.detail.is_empty() && check.verdict != Verdict::Pass {
        lines.push(format!("    {}", check.detail));
    }
    lines.extend(check.hint.iter().map(|hint| format!("    hint: {hint}")));
    lines.extend(check.see.iter().map(|see| format!("    see:  {see}")));
    lines
}

/// A unified diff with the colours that people know from git.
pub fn colored_diff(diff: &str) -> String {
    let color = |line: &str| {
        let style = match line.as_bytes().first() {
            Some(b'+') => GREEN,
            Some(b'-') => RED,
            Some(b'@') => DIM,
            _ => return format!("{line}\n"),
        };
        format!("{style}{line}{style:#}\n")
    };
    diff.lines().map(color).collect()
}

/// Whether standard error can show progress that moves.
fn can_animate() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A standard output at its end.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_lost_result_is_a_failure_and_a_closed_pipe_is_not() {
        assert!(write_whole(&mut Broken(io::ErrorKind::StorageFull), "a").is_err());
        assert!(write_whole(&mut Broken(io::ErrorKind::BrokenPipe), "a").is_ok());
    }

    #[test]
    fn the_last_line_ends_once() {
        for text in ["a", "a\n"] {
            let mut out = Vec::new();
            write_whole(&mut out, text).unwrap();
            assert_eq!(out, b"a\n");
        }
    }
}
