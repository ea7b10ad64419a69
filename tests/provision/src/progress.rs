//! Progress lines: what was done and how long it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::timeline;

/// How often a part that takes long tells how far it is.
const INTERVAL: Duration = Duration::from_secs(30);

/// Prints one line for a step that has ended, and adds it to the timeline.
pub fn done(step: &str, since: Instant) {
    let took = since.elapsed();
    println!("  {step:<44} {:>8}", seconds(took));
    timeline::add(step, took);
}

/// Prints one line for a step that takes long and starts now.
pub fn starting(step: &str) {
    println!("  {step}");
}

/// `1.2 s`, or `3 min 20 s` from two minutes on.
pub fn seconds(duration: Duration) -> String {
    if duration.as_secs() < 120 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// A part that takes minutes: prints how far it is twice a minute until the value is dropped.
pub struct Long {
    counts: Arc<Counts>,
    end: Option<Sender<()>>,
    printer: Option<JoinHandle<()>>,
}

/// Units of work, such as packages to compile.
#[derive(Default)]
struct Counts {
    done: AtomicUsize,
    /// Zero when it is not known.
    expected: AtomicUsize,
}

impl Long {
    /// Prints that the part starts.
    pub fn start(part: &str) -> Self {
        starting(part);
        let counts = Arc::new(Counts::default());
        let (end, ended) = mpsc::channel();
        let (part, began, shared) = (part.to_owned(), Instant::now(), Arc::clone(&counts));
        let printer = std::thread::spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let elapsed = seconds(began.elapsed());
                println!("  {part}: {elapsed}{}", shared.show());
            }
        });
        Self {
            counts,
            end: Some(end),
            printer: Some(printer),
        }
    }

    /// How many units there are.
    pub fn expect(&self, units: usize) {
        self.counts.expected.store(units, Ordering::Relaxed);
    }

    /// One unit more is done.
    pub fn advance(&self) {
        self.counts.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(printer) = self.printer.take() {
            // It only prints; a panic there must not hide the result of the work.
            let _ = printer.join();
        }
    }
}

impl Counts {
    fn show(&self) -> String {
        let done = self.done.load(Ordering::Relaxed);
        match self.expected.load(Ordering::Relaxed) {
            0 if done == 0 => String::new(),
            0 => format!(", {done} compiled"),
            expected => format!(", {done} of at most {expected} compiled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_shown_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn long_parts_say_how_far_they_are_when_that_is_known() {
        let long = Long::start("compiling");
        assert_eq!(long.counts.show(), "");
        long.advance();
        assert_eq!(long.counts.show(), ", 1 compiled");
        long.expect(12);
        assert_eq!(long.counts.show(), ", 1 of at most 12 compiled");
    }
}
