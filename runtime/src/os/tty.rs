//! Pseudo terminals.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::pty::{OpenptyResult, openpty};
use rustix::process::ioctl_tiocsctty;
use rustix::stdio::stdin;
use rustix::termios::{Winsize, tcsetwinsize};

/// Opens a terminal and returns its master, non-blocking, and its slave.
pub fn open_terminal(columns: u16, rows: u16) -> io::Result<(OwnedFd, File)> {
    let OpenptyResult { master, slave } = openpty(None, None)?;
    resize(&slave, columns, rows)?;
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
pub fn resize(master: &impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(master, size)?)
}

/// Makes the terminal on descriptor 0 the controlling one of the calling session leader.
pub(super) fn take_standard_input_as_terminal() -> io::Result<()> {
    Ok(ioctl_tiocsctty(stdin())?)
}

#[cfg(test)]
mod tests {
    use rustix::termios::tcgetwinsize;

    use super::*;

    #[test]
    fn a_terminal_has_the_size_that_was_asked_for_until_it_is_resized() {
        let (master, slave) = open_terminal(120, 40).unwrap();
        let size = |terminal: &File| {
            let size = tcgetwinsize(terminal).unwrap();
            (size.ws_col, size.ws_row)
        };
        assert_eq!(size(&slave), (120, 40));
        resize(&master, 80, 24).unwrap();
        assert_eq!(size(&slave), (80, 24));
    }
}
