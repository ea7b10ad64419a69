//! Recognises file systems whose changes inotify cannot see all of.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::statfs;

/// Magic numbers (statfs(2)) of NFS, CIFS, SMB, SMB2 and FUSE.
const NETWORK_MAGICS: [u32; 5] = [0x6969, 0xff53_4d42, 0x517b, 0xfe53_4d42, 0x6573_5546];

/// Whether other machines may change what is at `path` without notice.
///
/// The root file system never counts: under virtio-fs or fuse-overlayfs it
/// carries the number of FUSE, yet belongs to this sandbox alone.
pub(super) fn is_network_mount(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    if device(path) == device(Path::new("/")) {
        return false;
    }
    let Ok(found) = statfs(path) else { return false };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "magic numbers have 32 bits"
    )]
    let magic = found.filesystem_type().0 as u32;
    NETWORK_MAGICS.contains(&magic)
}
