//! Writes one uploaded file in place.
//!
//! Watchers see exactly: creation, change of owner, writes. Hence no temporary
//! file, and small uploads become one write. A thread is held while the disk has
//! something to do, never while the network has nothing: stalled uploads are free.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use bytes::Bytes;
use flate2::write::GzDecoder;
use tokio::task::JoinHandle;

use crate::account::Account;
use crate::blocking::{Aborted, blocking};
use crate::filesystem::{FsError, metadata, operations};
use crate::http::ApiError;

/// Bytes that are gathered before a write.
const GATHER: usize = 128 * 1024;
/// Chunks that are gathered at most: each keeps the buffer alive that it came in.
const GATHER_CHUNKS: usize = 64;

/// What to write, and for whom.
pub(super) struct Target {
    pub path: PathBuf,
    pub account: Account,
    pub metadata: BTreeMap<String, String>,
    /// The content arrives compressed with gzip.
    pub gzip: bool,
}

/// A file that is being written. Nothing happens to it before a batch of its
/// content has arrived, or all of it.
pub(super) struct Writer {
    batch: Vec<Bytes>,
    /// Bytes in `batch`.
    gathered: usize,
    stage: Stage,
}

/// Where a file stands; nowhere after a failure.
enum Stage {
    New(Box<Target>),
    /// A thread writes one batch while the next one gathers.
    Writing(JoinHandle<Result<Sink, FsError>>),
    Failed,
}

impl Writer {
    pub(super) fn new(target: Target) -> Self {
        Self {
            batch: Vec::new(),
            gathered: 0,
            stage: Stage::New(Box::new(target)),
        }
    }

    /// Adds content; waits while the disk is slower than the network. After an error there is no going on.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), ApiError> {
        self.gathered += chunk.len();
        self.batch.push(chunk);
        if self.gathered >= GATHER || self.batch.len() >= GATHER_CHUNKS {
            let work = self.take_work().await?;
            self.stage = Stage::Writing(tokio::task::spawn_blocking(work));
        }
        Ok(())
    }

    /// Writes what is left and waits until everything is written.
    pub(super) async fn finish(mut self) -> Result<(), ApiError> {
        let work = self.take_work().await?;
        Ok(blocking(move || work()?.finish()).await??)
    }

    /// What is to be done with the gathered chunks, once those before are written.
    async fn take_work(&mut self) -> Result<impl FnOnce() -> Result<Sink, FsError> + use<>, ApiError> {
        let stage = std::mem::replace(&mut self.stage, Stage::Failed);
        let opened = match stage {
            Stage::New(target) => Err(target),
            Stage::Writing(task) => Ok(task.await.map_err(|_| Aborted)??),
            Stage::Failed => return Err(Aborted.into()),
        };
        self.gathered = 0;
        let batch = std::mem::take(&mut self.batch);
        Ok(move || {
            let mut sink = opened.or_else(|target| Sink::open(*target))?;
            sink.write(&batch)?;
            Ok(sink)
        })
    }
}

/// An open file and what its content passes on the way there.
struct Sink {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    content: Content,
}

enum Content {
    Plain(Gathered),
    Gzip(Box<GzDecoder<Gathered>>),
}

impl Sink {
    /// Creates or truncates the file.
    fn open(target: Target) -> Result<Self, FsError> {
        let path = target.path;
        if path.is_dir() {
            return Err(FsError::IsDirectory(path));
        }
        if let Some(parent) = path.parent() {
            operations::create_directories(parent, &target.account)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o666)
            .open(&path)
            .map_err(|source| FsError::from_io("open", &path, source))?;
        operations::give_file(&file, &target.account)
            .map_err(|source| FsError::from_io("chown", &path, source))?;
        let file = Gathered {
            file,
            buffer: Vec::new(),
        };
        let content = if target.gzip {
            Content::Gzip(Box::new(GzDecoder::new(file)))
        } else {
            Content::Plain(file)
        };
        Ok(Self {
            path,
            metadata: target.metadata,
            content,
        })
    }

    fn write(&mut self, batch: &[Bytes]) -> Result<(), FsError> {
        let result = match &mut self.content {
            Content::Plain(file) => batch.iter().try_for_each(|chunk| file.write_all(chunk)),
            Content::Gzip(decoder) => batch.iter().try_for_each(|chunk| decoder.write_all(chunk)),
        };
        result.map_err(|source| FsError::from_io("write", &self.path, source))
    }

    fn finish(self) -> Result<(), FsError> {
        let gathered = match self.content {
            Content::Plain(file) => Ok(file),
            Content::Gzip(decoder) => decoder.finish(),
        };
        let file = gathered
            .and_then(Gathered::finish)
            .map_err(|source| FsError::from_io("write", &self.path, source))?;
        metadata::write(&file, &self.path, &self.metadata)
            .map_err(|source| FsError::from_io("write metadata of", &self.path, source))
    }
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
