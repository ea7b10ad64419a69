//! Builds OCI images and image archives without a container engine.
//!
//! An [`Image`] is a reference, a [`ImageConfig`] and a list of [`Layer`]s.
//! [`write_archive`] packs images into one tar file in the OCI image layout,
//! which `ctr images import`, `docker load`, `podman load` and `skopeo` read.
//!
//! The same input always gives the same bytes: entries are sorted, all times are
//! the epoch and no host name, user name or inode number ends up in a layer.
//! Large layers are streamed through a file ([`Layer::from_directory`]); small
//! ones live in memory ([`Layer::from_entries`]).
//!
//! Formats: OCI image specification 1.1 (`image-layout.md`, `manifest.md`,
//! `config.md`, `layer.md`).

mod archive;
mod compression;
mod digest;
mod directory;
mod entry;
mod image;
mod index;
mod layer;
mod tarball;

use std::io;
use std::path::PathBuf;

pub use archive::write_archive;
pub use compression::Compression;
pub use digest::{Digest, Sha256Writer};
pub use entry::{Entry, EntryKind};
pub use image::{Blob, Image, ImageConfig};
pub use index::{digest, index};
pub use layer::Layer;

/// Why a layer, an image or an archive could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path inside a layer is empty, climbs out of the root or holds a NUL byte.
    #[error("failed to add {path:?} to a layer: the path must stay inside the image")]
    PathOutsideImage { path: String },
    /// Two entries of one layer have the same path.
    #[error("failed to add {path:?} to a layer: the path is there twice")]
    DuplicatePath { path: String },
    /// A name on disk is not UTF-8.
    #[error("failed to add {} to a layer: the name is not UTF-8", path.display())]
    NameNotUtf8 { path: PathBuf },
    /// A file or directory that goes into a layer could not be read.
    #[error("failed to read {}", path.display())]
    ReadTree { path: PathBuf, source: io::Error },
    /// The tar stream of a layer could not be written.
    #[error("failed to write layer entry {path:?}")]
    WriteEntry { path: String, source: io::Error },
    /// The scratch file of a layer could not be created, written or read back.
    #[error("failed to use layer file {}", path.display())]
    LayerFile { path: PathBuf, source: io::Error },
    /// Compressing a layer failed.
    #[error("failed to compress a layer")]
    Compress { source: io::Error },
    /// The image reference is not of the form `registry/name:tag`.
    #[error("failed to read image reference {reference:?}: expected registry/name:tag")]
    Reference { reference: String },
    /// A JSON document of the image could not be rendered.
    #[error("failed to render the {document} of {reference}")]
    Render {
        document: &'static str,
        reference: String,
        source: serde_json::Error,
    },
    /// The archive could not be written.
    #[error("failed to write {path} to the image archive")]
    WriteArchive { path: String, source: io::Error },
}
