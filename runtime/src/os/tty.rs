//! Pseudo terminals.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::pty::{OpenptyResult, Winsize, openpty};

/// Opens a terminal and returns its master, non-blocking, and its slave.
pub fn open_terminal(columns: u16, rows: u16) -> io::Result<(OwnedFd, File)> {
    let OpenptyResult { master, slave } = openpty(&window(columns, rows), None)?;
    for descriptor in [&master, &slave] {
        nix::fcntl::fcntl(
            descriptor,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
        )?;
    }
    nix::fcntl::fcntl(
        &master,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )?;
    Ok((master, File::from(slave)))
}

/// Changes the size of a terminal; the foreground process group gets `SIGWINCH`.
#[expect(unsafe_code, reason = "ioctl has no safe wrapper")]
pub fn resize(master: &impl AsRawFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = window(columns, rows);
    // SAFETY: TIOCSWINSZ reads one `winsize`, which lives until the call returns.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes the terminal on descriptor 0 the controlling one of the calling session leader.
#[expect(unsafe_code, reason = "ioctl has no safe wrapper")]
pub(super) fn take_standard_input_as_terminal() -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer argument and touches no memory of ours.
    let result = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn window(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
