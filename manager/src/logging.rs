//! Log lines.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::args::{LogArgs, LogFormat};

/// Starts logging to standard error.
pub(crate) fn init(args: &LogArgs) -> anyhow::Result<()> {
    let filter = match &args.filter {
        Some(filter) => EnvFilter::try_new(filter).context("the log filter is malformed")?,
        None => EnvFilter::new(level_filter(args.level)),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match args.format {
        LogFormat::Plain => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The level counts verbosity, as Kubernetes components do: the quietest still tells
/// what the role does, because a silent pod cannot be diagnosed.
fn level_filter(level: u8) -> &'static str {
    match level {
        1 => "warn,sandbox_manager=info,silica_server=info,silica_controller=info",
        2 => "info",
        3 => "info,sandbox_manager=debug,silica_server=debug,silica_controller=debug",
        4 => "debug",
        _ => "trace",
    }
}
