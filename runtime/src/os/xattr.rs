//! Extended attributes of files.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Most bytes of an attribute's value or of the list of names that are read.
const LIMIT: usize = 64 * 1024;

/// Names of the attributes of a path, not following a link.
#[expect(unsafe_code, reason = "listxattr has no safe wrapper")]
pub fn read_names(path: &Path) -> io::Result<Vec<OsString>> {
    let path = c_string(path.as_os_str())?;
    let list = read_sized(|buffer| {
        // SAFETY: `path` is a C string; the buffer pointer and length describe one valid allocation.
        unsafe { libc::llistxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    })?;
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

/// Value of one attribute of a path, not following a link.
#[expect(unsafe_code, reason = "getxattr has no safe wrapper")]
pub fn read(path: &Path, name: &OsStr) -> io::Result<Vec<u8>> {
    let path = c_string(path.as_os_str())?;
    let name = c_string(name)?;
    read_sized(|buffer| {
        // SAFETY: both names are C strings; the buffer pointer and length describe one valid allocation.
        unsafe {
            libc::lgetxattr(
                path.as_ptr(),
                name.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        }
    })
}

/// Sets one attribute of an open file.
#[expect(unsafe_code, reason = "setxattr has no safe wrapper")]
pub fn write(file: &File, name: &OsStr, value: &[u8]) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: the name is a C string; value pointer and length describe one valid slice.
    let result = unsafe {
        libc::fsetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Removes one attribute of an open file.
#[expect(unsafe_code, reason = "removexattr has no safe wrapper")]
pub fn remove(file: &File, name: &OsStr) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: the name is a C string.
    let result = unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn read_sized(call: impl Fn(&mut [u8]) -> libc::ssize_t) -> io::Result<Vec<u8>> {
    // Most files have no attribute at all: a small buffer answers in one call.
    for size in [256, LIMIT] {
        let mut buffer = vec![0; size];
        if let Ok(length) = usize::try_from(call(&mut buffer)) {
            buffer.truncate(length);
            return Ok(buffer);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) {
            return Err(error);
        }
    }
    Err(io::Error::from_raw_os_error(libc::ERANGE))
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
