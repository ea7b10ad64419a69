//! Says whether TXT records are gone from DNS, or which ones may be left; also
//! when the order is given up in the middle and their removal runs into its limit.

use std::sync::atomic::{AtomicBool, Ordering};

use silica_acme::{Dns01, TxtRecord, provider::Error};

use crate::cli::report::Printer;

/// A provider whose removal of records is shown.
pub(super) struct Swept<P> {
    provider: P,
    printer: Printer,
    /// The server made none: none can be left.
    is_refused: AtomicBool,
}

impl<P: Dns01> Swept<P> {
    pub(super) fn new(provider: P, printer: Printer) -> Self {
        Self {
            provider,
            printer,
            is_refused: AtomicBool::new(false),
        }
    }
}

impl<P: Dns01> Dns01 for Swept<P> {
    async fn present(&self, records: &[TxtRecord]) -> Result<(), Error> {
        let outcome = self.provider.present(records).await;
        let is_refused = matches!(&outcome, Err(error) if error.is_refusal());
        self.is_refused.store(is_refused, Ordering::Relaxed);
        outcome
    }

    async fn cleanup(&self, records: &[TxtRecord]) -> Result<(), Error> {
        let printer = &self.printer;
        // The order has said so, unless it was given up.
        printer.note("removing the TXT records");
        let mut left = Left {
            printer,
            records,
            why: Some(" in time".to_owned()),
        };
        let outcome = self.provider.cleanup(records).await;
        left.why = match &outcome {
            Ok(()) => {
                printer.note("the TXT records are removed");
                None
            }
            Err(_) if self.is_refused.load(Ordering::Relaxed) => None,
            Err(error) => Some(format!(": {error}")),
        };
        outcome
    }
}

/// Shows the records when it is dropped with a reason, as at a time limit.
struct Left<'a> {
    printer: &'a Printer,
    records: &'a [TxtRecord],
    why: Option<String>,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if let Some(why) = &self.why {
            self.printer.warn(warning(why, self.records));
        }
    }
}

/// What is left, as a zone file has it. Pure.
fn warning(why: &str, records: &[TxtRecord]) -> String {
    let lines: Vec<String> = records
        .iter()
        .map(|record| format!("    {}", record.zone_line()))
        .collect();
    format!(
        "TXT records were not removed{why}; remove those that are there by hand:\n{}",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_can_be_found_in_the_zone() {
        let record = TxtRecord {
            name: "_acme-challenge.a.example".into(),
            value: "x".into(),
        };
        let text = warning(" in time", &[record]);
        assert!(
            text.starts_with("TXT records were not removed in time;"),
            "{text}"
        );
        assert!(
            text.ends_with("\n    _acme-challenge.a.example. 60 IN TXT \"x\""),
            "{text}"
        );
    }
}
