//! Programs in a folder of a test: nothing is known of a cluster.

use std::{
    path::Path,
    process::{Command, Output},
};

pub(crate) fn run(program: &str, args: &[&str], folder: &Path) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("KUBECONFIG")
        .output()
        .unwrap()
}

pub(crate) fn silica(args: &[&str], folder: &Path) -> Output {
    run(env!("CARGO_BIN_EXE_silica"), args, folder)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
