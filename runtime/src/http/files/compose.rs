//! `POST /files/compose`: joins uploaded parts into one file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::query::resolve_path;
use super::receive::Written;
use crate::account::Account;
use crate::blocking::blocking;
use crate::filesystem::{FsError, operations};
use crate::http::ApiError;
use crate::http::extract::Payload;
use crate::sandbox::Sandbox;

#[derive(Debug, Deserialize)]
pub(crate) struct ComposeRequest {
    source_paths: Vec<String>,
    destination: String,
    username: Option<String>,
}

pub(crate) async fn serve(
    State(sandbox): State<Arc<Sandbox>>,
    Payload(request): Payload<ComposeRequest>,
) -> Result<Json<Written>, ApiError> {
    let account = sandbox.account(request.username.as_deref())?;
    if request.source_paths.is_empty() || request.destination.is_empty() {
        return Err(ApiError::bad_request(
            "source_paths and destination must not be empty",
        ));
    }
    let resolve = |raw: &String| resolve_path(raw, &account, &sandbox);
    let sources: Vec<PathBuf> = request.source_paths.iter().map(resolve).collect();
    let destination = resolve(&request.destination);
    if sources.contains(&destination) {
        return Err(ApiError::bad_request("destination is one of the sources"));
    }
    let composed = blocking(move || compose(&sources, &destination, &account).map(|()| destination));
    Ok(Json(Written::new(&composed.await??, BTreeMap::new())))
}

/// The destination appears whole or not at all; the sources go last.
fn compose(sources: &[PathBuf], destination: &Path, account: &Account) -> Result<(), FsError> {
    for source in sources {
        let metadata = fs::metadata(source).map_err(|error| FsError::from_io("stat", source, error))?;
        if !metadata.is_file() {
            return Err(FsError::NotFile(source.clone()));
        }
    }
    if let Some(parent) = destination.parent() {
        operations::create_directories(parent, account)?;
    }
    let name = destination
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let partial = destination.with_file_name(format!(".{name}.{:016x}.partial", rand::random::<u64>()));
    let result = concatenate(sources, &partial, account).and_then(|()| {
        fs::rename(&partial, destination).map_err(|error| FsError::from_io("move", destination, error))
    });
    if result.is_err() {
        // The failure is what matters.
        let _ = fs::remove_file(&partial);
        return result;
    }
    sources.iter().try_for_each(|source| operations::remove(source))
}

fn concatenate(sources: &[PathBuf], partial: &Path, account: &Account) -> Result<(), FsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| FsError::from_io("write", &path, error)
    };
    let mut output = File::create(partial).map_err(failed(partial))?;
    for source in sources {
        let mut input = File::open(source).map_err(failed(source))?;
        io::copy(&mut input, &mut output).map_err(failed(partial))?;
    }
    operations::give_file(&output, account).map_err(failed(partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_order_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("1"), "a").unwrap();
        fs::write(path("2"), "b").unwrap();
        let account = Account {
            name: "me".into(),
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: Vec::new(),
            home: "/".into(),
        };
        compose(&[path("2"), path("1")], &path("d/out"), &account).unwrap();
        assert_eq!(fs::read_to_string(path("d/out")).unwrap(), "ba");
        assert!(!path("1").exists() && !path("2").exists());
        assert!(matches!(
            compose(&[path("1")], &path("o"), &account),
            Err(FsError::NotFound(_))
        ));
    }
}
