//! What each kind of client would say to a certificate, for people and programs.

use serde_json::{Value, json};
use silica_certs::import::{Client, Outcome};

/// One line a kind of client.
pub(in crate::commands::certs) fn text(outcomes: &[Outcome]) -> String {
    let width = Client::ALL.map(|client| client.title().len()).into_iter().max();
    let width = width.unwrap_or_default();
    let line = |one: &Outcome| {
        let title = one.client.title();
        match one.because.first() {
            None => format!("  {title:<width$}  accept it"),
            // One is enough: all of them are told beside.
            Some(first) => format!("  {title:<width$}  refuse it: {first}"),
        }
    };
    let lines: Vec<String> = outcomes.iter().map(line).collect();
    format!("Clients that trust its CA:\n{}", lines.join("\n"))
}

/// For programs: every reason.
pub(super) fn to_json(outcomes: &[Outcome]) -> Value {
    outcomes
        .iter()
        .map(|one| {
            json!({
                "client": one.client.id(),
                "title": one.client.title(),
                "accepts": one.is_accepted(),
                "reasons": one.because.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect()
}
