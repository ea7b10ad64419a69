//! `silica support`: one archive with what somebody who helps needs to see, and nothing secret.

mod collect;
mod collection;
mod listed;
mod logs;
mod objects;
mod redact;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use silica_oci::{Compression, Layer};
use tempfile::TempPath;
use time::{OffsetDateTime, UtcOffset};

use self::collection::Collection;
use crate::cli::{context::Context, error::Error, exit::Exit, flags::Format, report::Output};

/// Flags of `silica support`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica support
  silica support --file /tmp/night.tar.gz --log-lines 10000

The archive has the state that `silica status` shows, the findings of `silica doctor`, the objects of the
installation, the pools and sandboxes, nodes and events, and the logs of controller and manager. It has no value of a
Secret, no variable, command or annotation of a user's pod, no output of a sandbox, and no API key. What cannot be read
is listed in it and ends the command with exit code 1; the rest is written all the same.")]
pub struct SupportArgs {
    #[command(flatten)]
    pub format: Format,
    /// File to write, which must not exist; silica-support-TIME.tar.gz here when absent
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Last lines of each log
    #[arg(long, value_name = "LINES", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub log_lines: u32,
}

/// Collects and writes the archive.
pub async fn run(context: &Context, args: &SupportArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let file = match &args.file {
        Some(file) => file.clone(),
        None => default_file(OffsetDateTime::now_utc()),
    };
    let failed = |source| Error::WriteFile {
        path: file.clone(),
        source,
    };
    // Before the cluster is asked: minutes of collecting must not end in this.
    let output = create(&file).map_err(failed)?;
    // Half an archive helps nobody: it goes with every early end, an interruption too.
    let unfinished = TempPath::try_from_path(&file).map_err(failed)?;
    let collected = collect::all(context, i64::from(args.log_lines)).await?;
    write(&collected, output).map_err(failed)?;
    unfinished.keep().map_err(|error| failed(error.error))?;
    let missing = collected.missing();
    for line in missing {
        printer.warn(line);
    }
    match printer.output() {
        Output::Json => printer.json(&json!({
            "file": file,
            "parts": collected.names().collect::<Vec<_>>(),
            "missing": missing,
        }))?,
        Output::Text => printer.result(file.display())?,
    }
    Ok(if missing.is_empty() {
        Exit::Success
    } else {
        Exit::Failed
    })
}

fn default_file(now: OffsetDateTime) -> PathBuf {
    let now = now.to_offset(UtcOffset::UTC);
    let (date, clock) = (now.date(), now.time());
    PathBuf::from(format!(
        "silica-support-{:04}{:02}{:02}T{:02}{:02}{:02}Z.tar.gz",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    ))
}

/// For its owner alone: logs and objects are nobody else's business.
fn create(file: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(file)
}

fn write(collected: &Collection, mut output: fs::File) -> io::Result<()> {
    let archive = Layer::from_entries(collected.entries(), Compression::Gzip).map_err(io::Error::other)?;
    io::copy(&mut archive.reader().map_err(io::Error::other)?, &mut output)?;
    output.flush()?;
    output.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use time::macros::datetime;

    use super::*;

    #[test]
    fn files_are_named_by_their_time() {
        let name = default_file(datetime!(2026-03-04 05:06:07 +02:00));
        assert_eq!(name, Path::new("silica-support-20260304T030607Z.tar.gz"));
    }

    #[test]
    fn an_archive_is_for_its_owner_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.gz");
        let mut collected = Collection::default();
        collected.add("version.json", "{}");
        write(&collected, create(&path).unwrap()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read(&path).unwrap()[..2],
            [0x1f, 0x8b],
            "gzip (RFC 1952 section 2.3.1)"
        );
        let refused = create(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
}
