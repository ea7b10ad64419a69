//! Errors on one line.

use std::error::Error;

/// The error with all its sources, for a text that stands alone.
pub fn whole_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
