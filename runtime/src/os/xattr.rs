//! Extended attributes of files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

/// Most bytes of an attribute's value or of the list of names that are read.
const LIMIT: usize = 64 * 1024;

/// Names of the attributes of a path, not following a link.
pub fn read_names(path: &Path) -> io::Result<Vec<OsString>> {
    let list = read_sized(|buffer| llistxattr(path, buffer))?;
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

/// Value of one attribute of a path, not following a link.
pub fn read(path: &Path, name: &OsStr) -> io::Result<Vec<u8>> {
    read_sized(|buffer| lgetxattr(path, name, buffer))
}

/// Sets one attribute of an open file.
pub fn write(file: &File, name: &OsStr, value: &[u8]) -> io::Result<()> {
    Ok(fsetxattr(file, name, value, XattrFlags::empty())?)
}

/// Removes one attribute of an open file.
pub fn remove(file: &File, name: &OsStr) -> io::Result<()> {
    Ok(fremovexattr(file, name)?)
}

fn read_sized(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    // Most files have no attribute at all: a small buffer answers in one call.
    for size in [256, LIMIT] {
        let mut buffer = vec![0; size];
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::RANGE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes around those of the buffers; file systems differ in what they bear at most.
    #[test]
    fn values_are_read_as_they_were_written_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        let name = OsStr::new("user.silica");
        if let Err(error) = write(&file, name, b"") {
            assert_eq!(
                error.raw_os_error(),
                Some(Errno::NOTSUP.raw_os_error()),
                "{error}"
            );
            return;
        }
        for size in [0, 255, 256, 257, 1000] {
            let value = vec![b'x'; size];
            write(&file, name, &value).unwrap();
            assert_eq!(read(&path, name).unwrap(), value, "{size} bytes");
            assert_eq!(read_names(&path).unwrap(), [name]);
        }
        remove(&file, name).unwrap();
        assert!(read_names(&path).unwrap().is_empty());
        assert_eq!(
            read(&path, name).unwrap_err().raw_os_error(),
            Some(Errno::NODATA.raw_os_error())
        );
    }

    #[test]
    fn a_name_with_a_zero_byte_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let error = write(&file, OsStr::new("user.a\0b"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
