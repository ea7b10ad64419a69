//! The four files on disk.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::{authority, leaf};
use silica_certs::files::{self, CA_FULLCHAIN, CA_PRIVKEY, Error, FULLCHAIN, PRIVKEY};

fn mode(folder: &Path, name: &str) -> u32 {
    fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn first_run_writes_four_files_with_closed_keys() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/certs");
    let authority = authority();
    let leaf = leaf(&authority);
    let written = files::write(&folder, &authority, &leaf).unwrap();
    assert!(!written.authority_reused);
    assert_eq!(
        written.files,
        [CA_PRIVKEY, CA_FULLCHAIN, PRIVKEY, FULLCHAIN].map(|name| folder.join(name))
    );
    assert_eq!(
        (mode(&folder, PRIVKEY), mode(&folder, CA_PRIVKEY)),
        (0o600, 0o600)
    );
    assert_eq!(
        fs::read_to_string(folder.join(FULLCHAIN)).unwrap(),
        leaf.chain_pem()
    );
    assert_eq!(
        fs::read_to_string(folder.join(PRIVKEY)).unwrap(),
        leaf.key_pem().expose()
    );
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        4,
        "no temporary file is left"
    );
}

#[test]
fn second_run_keeps_the_ca_and_replaces_the_leaf() {
    let folder = tempfile::tempdir().unwrap();
    assert!(files::read_authority(folder.path(), None).unwrap().is_none());
    let first = authority();
    files::write(folder.path(), &first, &leaf(&first)).unwrap();
    let read = files::read_authority(folder.path(), None).unwrap().unwrap();
    let written = files::write(folder.path(), &read, &leaf(&read)).unwrap();
    assert!(written.authority_reused);
    assert_eq!(
        written.files,
        [PRIVKEY, FULLCHAIN].map(|name| folder.path().join(name))
    );
    assert_eq!(read.inspected(), first.inspected());
}

#[test]
fn another_ca_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (authority(), common::authority());
    files::write(folder.path(), &first, &leaf(&first)).unwrap();
    let error = files::write(folder.path(), &second, &leaf(&second)).unwrap_err();
    assert!(matches!(error, Error::OtherAuthority { .. }), "{error}");
    assert_eq!(
        fs::read_to_string(folder.path().join(CA_FULLCHAIN)).unwrap(),
        first.certificate_pem()
    );
}

#[test]
fn half_a_ca_is_an_error_and_not_a_reason_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    files::write(folder.path(), &authority, &leaf(&authority)).unwrap();
    fs::remove_file(folder.path().join(CA_PRIVKEY)).unwrap();
    let error = files::write(folder.path(), &authority, &leaf(&authority)).unwrap_err();
    assert!(matches!(error, Error::HalfAuthority { .. }), "{error}");
    fs::write(folder.path().join(CA_PRIVKEY), "damaged").unwrap();
    assert!(matches!(
        files::read_authority(folder.path(), None),
        Err(Error::Authority { .. })
    ));
}
