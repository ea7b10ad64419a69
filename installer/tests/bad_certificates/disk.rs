//! `certs generate` on disks that are full or cannot be written: all files or none.

use std::path::Path;

use crate::{DOMAIN, run, stderr};

/// A file system of its own in a namespace of its own: gone with the command.
/// Returns what it printed: the exit code, then the files in `out`.
fn generate_on(folder: &Path, options: &str, before: &str, then: &str) -> Option<(Vec<String>, String)> {
    let script = format!(
        "mkdir -p out && mount -t tmpfs -o {options} none out || exit 77\n{before}\n\
         cat out/* 2>/dev/null | cksum\n{then}\n\"$0\" certs generate -d {DOMAIN} -o out\necho $?\n\
         rm -f out/filler\ncat out/* 2>/dev/null | cksum\nls -A out"
    );
    let args = [
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &script,
        env!("CARGO_BIN_EXE_silica"),
    ];
    let output = run("unshare", folder, &args, None);
    if output.status.code() == Some(77) || stderr(&output).contains("unshare") {
        assert!(std::env::var_os("CI").is_none(), "no mount namespace can be made");
        println!("skipped: no mount namespace can be made here");
        return None;
    }
    let lines = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    Some((lines, stderr(&output)))
}

#[test]
fn a_disk_that_is_full_at_any_moment_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // One file takes a page; the fifth size has room for all four.
    for pages in 0..=4 {
        let fill = format!("head -c {}k /dev/zero > out/filler", (8 - pages) * 4);
        let Some((lines, message)) = generate_on(folder.path(), "size=32k", &fill, "") else {
            return;
        };
        if pages == 4 {
            assert_eq!(lines[1], "0", "{message}");
            assert_eq!(lines.len(), 3 + 4, "{lines:?}");
            continue;
        }
        assert_eq!(lines[1], "1", "{pages} pages: {message}");
        assert!(message.contains("No space left on device"), "{message}");
        assert_eq!(lines.len(), 3, "{pages} pages left {:?} behind", &lines[3..]);
    }
}

#[test]
fn a_full_disk_keeps_the_files_of_a_former_run() {
    let folder = tempfile::tempdir().unwrap();
    let before = format!("\"$0\" certs generate -d {DOMAIN} -o out 2>/dev/null || exit 1");
    for pages in 0..=3 {
        let fill = format!("head -c {}k /dev/zero > out/filler", (12 - pages) * 4);
        let Some((lines, message)) = generate_on(folder.path(), "size=64k", &before, &fill) else {
            return;
        };
        assert_eq!(lines[1], "1", "{pages} pages: {message}");
        assert_eq!(lines[0], lines[2], "{pages} pages: a file was changed");
        assert_eq!(lines.len(), 3 + 4, "{lines:?}");
    }
}

#[test]
fn folders_made_in_vain_go_with_the_files() {
    let folder = tempfile::tempdir().unwrap();
    // The file system itself and two folders: no file.
    let deep = format!("\"$0\" certs generate -d {DOMAIN} -o out/new/deep");
    let Some((lines, message)) = generate_on(folder.path(), "size=64k,nr_inodes=3", &deep, "ls -A out")
    else {
        return;
    };
    assert!(
        message.contains("failed to write out/new/deep/ca-privkey.pem"),
        "{message}"
    );
    assert_eq!(lines[1], "1", "{lines:?} {message}");
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn a_read_only_folder_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let before = format!("\"$0\" certs generate -d {DOMAIN} -o out 2>/dev/null || exit 1");
    let close = "mount -o remount,ro out";
    let Some((lines, message)) = generate_on(folder.path(), "size=64k", &before, close) else {
        return;
    };
    assert_eq!(lines[1], "1", "{message}");
    assert!(message.contains("Read-only file system"), "{message}");
    assert_eq!(lines[0], lines[2]);
    assert_eq!(lines.len(), 3 + 4, "{lines:?}");
}
