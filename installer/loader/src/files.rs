//! Files, by system calls alone.

use alloc::{string::String, vec::Vec};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io::{self, Errno},
};

/// Bytes read at a time.
const BUFFER: usize = 64 * 1024;

/// Appends the content of a file.
pub fn read(path: &str, content: &mut Vec<u8>) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut filled = content.len();
    loop {
        content.resize(filled + BUFFER, 0);
        match io::read(&file, &mut content[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => {
                content.truncate(filled);
                return Err(error);
            }
        }
    }
    content.truncate(filled);
    Ok(())
}

/// Creates a file that must not exist, for its owner only.
pub fn create(path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RWXU)
}

/// Writes everything.
pub fn write(file: &OwnedFd, mut content: &[u8]) -> io::Result<()> {
    while !content.is_empty() {
        match io::write(file, content) {
            Ok(count) => content = &content[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The arguments of this process, behind the program's name.
pub fn arguments() -> io::Result<Vec<String>> {
    let mut line = Vec::new();
    read("/proc/self/cmdline", &mut line)?;
    let text = line.strip_suffix(b"\0").unwrap_or(&line);
    Ok(text
        .split(|byte| *byte == 0)
        .skip(1)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect())
}
