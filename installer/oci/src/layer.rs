//! A finished layer: its digests and where its bytes are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::directory::{self, Change};
use crate::entry::{Entry, EntryKind};
use crate::tarball::{Body, Finished, Ownership, Tarball};
use crate::{Compression, Digest, Error};

/// One compressed layer. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Layer {
    media_type: &'static str,
    diff_id: Digest,
    digest: Digest,
    size: u64,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Memory(Arc<[u8]>),
    File(PathBuf),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "{} bytes in memory", bytes.len()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Layer {
    /// Builds a small layer in memory. Entries are owned by root and sorted by path;
    /// parent directories that are not listed are made by whoever unpacks the layer.
    pub fn from_entries(entries: Vec<Entry>, compression: Compression) -> Result<Self, Error> {
        let mut sorted = BTreeMap::new();
        for entry in entries {
            let path = entry.relative_path()?;
            if sorted.insert(path.clone(), entry).is_some() {
                return Err(Error::DuplicatePath { path });
            }
        }
        let mut tarball = Tarball::new(Vec::new(), compression)?;
        for (path, entry) in &sorted {
            let owner = Ownership {
                mode: entry.mode(),
                uid: 0,
                gid: 0,
            };
            match entry.kind() {
                EntryKind::File(bytes) => {
                    let body = Body::File {
                        size: bytes.len() as u64,
                        content: &mut bytes.as_slice(),
                    };
                    tarball.append(path, owner, body)?;
                }
                EntryKind::Directory => tarball.append(path, owner, Body::Directory)?,
                EntryKind::Symlink(target) => tarball.append(path, owner, Body::Symlink(target))?,
            }
        }
        let Finished {
            output,
            diff_id,
            digest,
            size,
        } = tarball.finish()?;
        let content = Content::Memory(output.into());
        Ok(Self {
            media_type: compression.media_type(),
            diff_id,
            digest,
            size,
            content,
        })
    }

    /// Streams the directory tree `root` into `scratch`, which must stay there as long as
    /// the layer is used.
    ///
    /// Modes, numeric owners, symbolic and hard links are kept. Devices, sockets and pipes
    /// are left out (a container gets its `/dev` from the runtime), extended attributes too.
    pub fn from_directory(root: &Path, scratch: &Path, compression: Compression) -> Result<Self, Error> {
        Self::from_changes(root, &directory::read_tree(root)?, scratch, compression)
    }

    /// Like [`Layer::from_directory`], but holds only what differs from the tree `base`:
    /// new and changed paths, and whiteouts (`layer.md`, "Whiteouts") for removed ones.
    /// `root` must have been copied from `base` with times kept (`cp -a`): a file of the
    /// same size, owner, mode and modification time counts as unchanged.
    pub fn from_directory_changes(
        base: &Path,
        root: &Path,
        scratch: &Path,
        compression: Compression,
    ) -> Result<Self, Error> {
        let changes = directory::changes(&directory::read_tree(base)?, directory::read_tree(root)?);
        Self::from_changes(root, &changes, scratch, compression)
    }

    fn from_changes(
        root: &Path,
        changes: &BTreeMap<String, Change>,
        scratch: &Path,
        compression: Compression,
    ) -> Result<Self, Error> {
        let scratch_failed = |source| Error::LayerFile {
            path: scratch.to_owned(),
            source,
        };
        let file = File::create(scratch).map_err(scratch_failed)?;
        let mut tarball = Tarball::new(BufWriter::with_capacity(1 << 20, file), compression)?;
        directory::append_changes(&mut tarball, root, changes)?;
        let Finished {
            output,
            diff_id,
            digest,
            size,
        } = tarball.finish()?;
        output
            .into_inner()
            .map_err(|error| scratch_failed(error.into_error()))?;
        let content = Content::File(scratch.to_owned());
        Ok(Self {
            media_type: compression.media_type(),
            diff_id,
            digest,
            size,
            content,
        })
    }

    /// The OCI media type of the blob.
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Digest of the uncompressed tar stream, for the image configuration.
    pub fn diff_id(&self) -> Digest {
        self.diff_id
    }

    /// Digest of the compressed blob.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of the compressed blob.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens the compressed blob.
    pub fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        match &self.content {
            Content::Memory(bytes) => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
            Content::File(path) => File::open(path)
                .map(|file| Box::new(file) as Box<dyn Read + Send>)
                .map_err(|source| Error::LayerFile {
                    path: path.clone(),
                    source,
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// `path mode type link` of each entry of a gzip layer.
    fn listing(layer: &Layer) -> Vec<String> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.reader().unwrap()));
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                let link = entry
                    .link_name()
                    .unwrap()
                    .map(|l| l.display().to_string())
                    .unwrap_or_default();
                let header = entry.header();
                assert_eq!(header.mtime().unwrap(), 0);
                let kind = header.entry_type();
                let path = entry.path().unwrap().display().to_string();
                format!("{path} {:o} {kind:?} {link}", header.mode().unwrap())
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn order_of_entries_does_not_change_the_digest() {
        let file = Entry::file("/bin/tool", 0o755, *b"x");
        let link = Entry::symlink("/bin/sh", "tool");
        let one = Layer::from_entries(vec![file.clone(), link.clone()], Compression::Gzip).unwrap();
        let two = Layer::from_entries(vec![link, file], Compression::Gzip).unwrap();
        assert_eq!(one.digest(), two.digest());
        assert_eq!(listing(&one), ["bin/sh 777 Symlink tool", "bin/tool 755 Regular"]);
    }

    #[test]
    fn the_content_is_the_same_however_it_is_compressed() {
        let layer = |compression| {
            Layer::from_entries(vec![Entry::file("/bin/tool", 0o755, [7; 4096])], compression).unwrap()
        };
        let (plain, packed) = (layer(Compression::None), layer(Compression::Gzip));
        assert_eq!(plain.diff_id(), packed.diff_id());
        assert_eq!(plain.digest(), plain.diff_id(), "nothing was packed");
        assert!(packed.size() < plain.size());
        assert_eq!(plain.media_type(), "application/vnd.oci.image.layer.v1.tar");
    }

    #[test]
    fn path_given_twice_is_refused() {
        let entries = vec![Entry::file("/a", 0o644, *b"1"), Entry::file("a", 0o644, *b"2")];
        let error = Layer::from_entries(entries, Compression::Gzip).unwrap_err();
        assert!(matches!(error, Error::DuplicatePath { path } if path == "a"));
    }

    #[test]
    fn directory_keeps_modes_symlinks_and_hard_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("tmp")).unwrap();
        std::fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::fs::write(root.join("a"), b"content").unwrap();
        std::fs::set_permissions(root.join("a"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        std::fs::hard_link(root.join("a"), root.join("b")).unwrap();
        symlink("/nowhere", root.join("c")).unwrap();

        let layer = Layer::from_directory(&root, &dir.path().join("1"), Compression::Gzip).unwrap();
        let again = Layer::from_directory(&root, &dir.path().join("2"), Compression::Gzip).unwrap();
        assert_eq!(layer.digest(), again.digest());
        assert_eq!(
            listing(&layer),
            [
                "a 4755 Regular",
                "b 4755 Link a",
                "c 777 Symlink /nowhere",
                "tmp/ 1777 Directory"
            ]
        );
    }

    #[test]
    fn changes_hold_new_paths_and_whiteouts_only() {
        let dir = tempfile::tempdir().unwrap();
        let (base, root) = (dir.path().join("base"), dir.path().join("root"));
        std::fs::create_dir_all(base.join("gone/deep")).unwrap();
        std::fs::write(base.join("same"), b"1").unwrap();
        std::fs::write(base.join("changed"), b"1").unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(&base)
            .arg(&root)
            .status()
            .unwrap();
        assert!(copied.success());
        std::fs::remove_dir_all(root.join("gone")).unwrap();
        std::fs::write(root.join("changed"), b"12").unwrap();
        std::fs::write(root.join("new"), b"1").unwrap();

        let scratch = dir.path().join("layer");
        let layer = Layer::from_directory_changes(&base, &root, &scratch, Compression::Gzip).unwrap();
        let paths: Vec<String> = listing(&layer)
            .iter()
            .map(|l| l.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(paths, ["changed", ".wh.gone", "new"]);
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn compression_changes_the_blob_but_not_the_content() {
        let entries = || vec![Entry::file("a", 0o644, *b"1")];
        let gzip = Layer::from_entries(entries(), Compression::Gzip).unwrap();
        let zstd = Layer::from_entries(entries(), Compression::Zstd).unwrap();
        assert_eq!(gzip.diff_id(), zstd.diff_id());
        assert_ne!(gzip.digest(), zstd.digest());
    }
}
