//! `install`: copies the daemon to where another container of the pod finds it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, Signal};
use silica_runtime_api::{BINARY_NAME, INSTALL_DIR, INSTALL_DIR_ENV, START_SCRIPT_NAME};

/// Why the files are not in place.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("failed to create directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("failed to read the own executable")]
    Read(#[source] io::Error),
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Directory to install to when none is given.
pub fn default_directory() -> PathBuf {
    std::env::var_os(INSTALL_DIR_ENV)
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| INSTALL_DIR.into(), PathBuf::from)
}

/// Writes the executable and the start script; readers see old or new files, never half of one.
pub fn install(directory: &Path) -> Result<(), InstallError> {
    fs::create_dir_all(directory).map_err(|source| InstallError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    let executable = fs::read("/proc/self/exe").map_err(InstallError::Read)?;
    write_atomically(&directory.join(BINARY_NAME), &executable)?;
    write_atomically(&directory.join(START_SCRIPT_NAME), render_script().as_bytes())
}

/// Sleeps until the pod ends, as a sidecar has to.
pub fn stay() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    // Blocked signals stay pending, so none is missed. As process 1 their default would be to do nothing.
    let _ = signals.thread_block();
    let _ = signals.wait();
}

fn render_script() -> String {
    format!(
        "#!/bin/sh\n# Starts the sandbox's daemon; the pod's postStart hook calls this.\n\
         exec \"${{{INSTALL_DIR_ENV}:-{INSTALL_DIR}}}/{BINARY_NAME}\" start \"$@\"\n"
    )
}

fn write_atomically(path: &Path, content: &[u8]) -> Result<(), InstallError> {
    let partial = path.with_extension("partial");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(&partial)?;
        // The mode above is subject to the umask.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        file.write_all(content)?;
        drop(file);
        fs::rename(&partial, path)
    };
    write().map_err(|source| InstallError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn both_files_are_executable_and_a_second_run_replaces_them() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("new");
        for _ in 0..2 {
            install(&directory).unwrap();
            for name in [BINARY_NAME, START_SCRIPT_NAME] {
                let metadata = fs::metadata(directory.join(name)).unwrap();
                assert_eq!(metadata.mode() & 0o777, 0o755);
                assert!(metadata.len() > 0);
            }
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        }
    }

    #[test]
    fn script_starts_the_installed_daemon() {
        let script = render_script();
        assert!(script.starts_with("#!/bin/sh\n"));
        assert!(script.ends_with("exec \"${ENVD_DIR:-/mnt/envd}/sandbox-runtime\" start \"$@\"\n"));
    }
}
