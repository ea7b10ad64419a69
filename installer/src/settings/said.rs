//! What one run says, before anything is known of the cluster.

use std::{
    io::{self, Read},
    path::Path,
};

use super::{
    Error,
    layer::{self, Layer, Origin},
    resolve::Resolved,
};
use crate::settings::InstallArgs;

/// What this run says: file, variables and flags, each value checked on its own.
pub struct Said {
    layers: [Layer; 3],
}

impl Said {
    /// Reads the files that the flags name, and the environment.
    pub fn read(args: &InstallArgs) -> Result<Self, Error> {
        let file = match &args.values {
            Some(path) => layer::of_file(path, &read_text("the settings file", path)?)?,
            None => Layer::new(),
        };
        let variables = layer::of_environment(|name| std::env::var(name).ok())?;
        let mut flags = layer::of_flags(args.flags.texts())?;
        if let Some(path) = &args.admin_key_file {
            let given = layer::Given {
                value: read_text("the API key file", path)?.trim().into(),
                origin: Origin::Flag("admin-key-file".into()),
            };
            flags.insert("e2b.adminApiKey", given);
        }
        Ok(Self {
            layers: [file, variables, flags],
        })
    }

    /// With what an earlier run kept below it.
    pub fn over(&self, kept: Layer) -> Resolved {
        Resolved::of(std::iter::once(kept).chain(self.layers.iter().cloned()))
    }
}

/// Reads a file; `-` is standard input.
fn read_text(what: &'static str, path: &Path) -> Result<String, Error> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|source| Error::ReadFile {
        what,
        path: path.to_owned(),
        source,
    })
}
