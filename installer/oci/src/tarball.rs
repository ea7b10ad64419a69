//! Writes tar entries in one fixed form and hashes the stream on both sides of the compression.

use std::io::{self, Read, Write};

use crate::compression::Encoder;
use crate::{Compression, Digest, Error, Sha256Writer};

/// Who owns an entry and what may be done with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ownership {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What an entry is; links carry their target.
pub(crate) enum Body<'a> {
    File { size: u64, content: &'a mut dyn Read },
    Directory,
    Symlink(&'a str),
    HardLink(&'a str),
}

/// The digests and the size of a finished layer.
pub(crate) struct Finished<W> {
    pub(crate) output: W,
    /// Digest of the uncompressed tar stream.
    pub(crate) diff_id: Digest,
    /// Digest of the compressed blob.
    pub(crate) digest: Digest,
    /// Bytes of the compressed blob.
    pub(crate) size: u64,
}

/// A tar stream on its way through compression into `W`.
pub(crate) struct Tarball<W: Write> {
    builder: tar::Builder<Sha256Writer<Encoder<Sha256Writer<W>>>>,
}

impl<W: Write> Tarball<W> {
    pub(crate) fn new(output: W, compression: Compression) -> Result<Self, Error> {
        let encoder = compression
            .encoder(Sha256Writer::new(output))
            .map_err(|source| Error::Compress { source })?;
        Ok(Self {
            builder: tar::Builder::new(Sha256Writer::new(encoder)),
        })
    }

    /// Appends one entry; `path` is relative to the image's root.
    pub(crate) fn append(&mut self, path: &str, owner: Ownership, body: Body<'_>) -> Result<(), Error> {
        self.try_append(path, owner, body)
            .map_err(|source| Error::WriteEntry {
                path: path.to_owned(),
                source,
            })
    }

    fn try_append(&mut self, path: &str, owner: Ownership, body: Body<'_>) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(owner.mode & 0o7777);
        header.set_uid(u64::from(owner.uid));
        header.set_gid(u64::from(owner.gid));
        header.set_mtime(0);
        header.set_size(0);
        match body {
            Body::File { size, content } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(size);
                // A file that grows while it is read must not spill into the next header.
                self.builder.append_data(
                    &mut header,
                    path,
                    Exactly {
                        inner: content,
                        left: size,
                    },
                )
            }
            Body::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                self.builder
                    .append_data(&mut header, format!("{path}/"), io::empty())
            }
            Body::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                self.builder.append_link(&mut header, path, target)
            }
            Body::HardLink(target) => {
                header.set_entry_type(tar::EntryType::Link);
                self.builder.append_link(&mut header, path, target)
            }
        }
    }

    /// Ends the tar stream and the compression.
    pub(crate) fn finish(self) -> Result<Finished<W>, Error> {
        let close = |source| Error::Compress { source };
        let (encoder, diff_id, _) = self.builder.into_inner().map_err(close)?.finish();
        let (output, digest, size) = encoder.finish().map_err(close)?.finish();
        Ok(Finished {
            output,
            diff_id,
            digest,
            size,
        })
    }
}

/// Reads exactly `left` bytes, or fails when there are fewer.
struct Exactly<'a> {
    inner: &'a mut dyn Read,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let got = self.inner.read(&mut buffer[..wanted])?;
        if got == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file shrank while it was read",
            ));
        }
        self.left -= got as u64;
        Ok(got)
    }
}
