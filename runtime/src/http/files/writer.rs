//! Writes one uploaded file in place.
//!
//! Watchers see exactly: creation, change of owner, writes. Hence no temporary
//! file, and small uploads become one write.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use bytes::Bytes;
use flate2::write::GzDecoder;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::account::Account;
use crate::filesystem::{FsError, metadata, operations};

/// Bytes that are gathered before a write.
const GATHER: usize = 128 * 1024;
/// Chunks that may wait for the disk.
const QUEUE: usize = 4;

/// What to write, and for whom.
pub(super) struct Target {
    pub path: PathBuf,
    pub account: Account,
    pub metadata: BTreeMap<String, String>,
    /// The content arrives compressed with gzip.
    pub gzip: bool,
}

/// A file that is being written by a thread of its own.
pub(super) struct Writer {
    chunks: mpsc::Sender<Bytes>,
    finished: JoinHandle<Result<(), FsError>>,
}

impl Writer {
    /// Creates or truncates the file in the background.
    pub(super) fn open(target: Target) -> Self {
        let (chunks, receiver) = mpsc::channel(QUEUE);
        Self {
            chunks,
            finished: tokio::task::spawn_blocking(move || write(&target, receiver)),
        }
    }

    /// Adds content; `false` when the file cannot take more, see [`Self::finish`].
    pub(super) async fn write(&self, chunk: Bytes) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// Waits until everything is written.
    pub(super) async fn finish(self) -> Result<(), FsError> {
        drop(self.chunks);
        match self.finished.await {
            Ok(result) => result,
            Err(error) => Err(FsError::Io {
                action: "write",
                path: PathBuf::new(),
                source: io::Error::other(error),
            }),
        }
    }
}

fn write(target: &Target, mut chunks: mpsc::Receiver<Bytes>) -> Result<(), FsError> {
    let path = &target.path;
    let failed = |action| move |source: io::Error| FsError::from_io(action, path, source);
    if path.is_dir() {
        return Err(FsError::NotFile(path.clone()));
    }
    if let Some(parent) = path.parent() {
        operations::create_directories(parent, &target.account)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o666)
        .open(path)
        .map_err(failed("open"))?;
    operations::give_file(&file, &target.account).map_err(failed("chown"))?;
    let file = Gathered {
        file,
        buffer: Vec::new(),
    };
    let file = if target.gzip {
        let mut decoder = GzDecoder::new(file);
        while let Some(chunk) = chunks.blocking_recv() {
            decoder.write_all(&chunk).map_err(failed("write"))?;
        }
        decoder.finish().map_err(failed("write"))?
    } else {
        let mut file = file;
        while let Some(chunk) = chunks.blocking_recv() {
            file.write_all(&chunk).map_err(failed("write"))?;
        }
        file
    };
    let file = file.finish().map_err(failed("write"))?;
    metadata::write(&file, path, &target.metadata).map_err(failed("write metadata of"))
}

/// Gathers small writes; large ones go straight through.
struct Gathered {
    file: File,
    buffer: Vec<u8>,
}

impl Gathered {
    fn finish(mut self) -> io::Result<File> {
        self.flush()?;
        Ok(self.file)
    }
}

impl Write for Gathered {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + data.len() > GATHER {
            self.flush()?;
        }
        if data.len() >= GATHER {
            self.file.write_all(data)?;
        } else {
            self.buffer.extend_from_slice(data);
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}
