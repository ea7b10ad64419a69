//! Deletes objects, and tells of each that stays why it does.

use std::fmt;

use kube::api::DeleteParams;

use crate::{
    cli::{context::Context, error::Error},
    cluster::{
        Cluster,
        inventory::{self, Entry},
    },
    pipeline::wait,
};

/// Kinds that are deleted only after what they own is gone.
const OWNERS: [&str; 2] = ["Deployment", "SandboxSet"];

/// Something that is still there, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Left {
    /// What it is.
    pub entry: Entry,
    /// The reason, as far as it is known.
    pub why: String,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.entry.title(), self.why)
    }
}

/// Deletes objects and waits until they are gone. All are tried; what is left is an error.
/// Returns how many were there.
pub(super) async fn remove(context: &Context, cluster: &Cluster, entries: &[Entry]) -> Result<usize, Error> {
    let mut left = Vec::new();
    let mut deleted = Vec::new();
    let mut were_there = 0;
    for entry in entries {
        let params = if OWNERS.contains(&entry.kind.as_str()) {
            DeleteParams::foreground()
        } else {
            DeleteParams::background()
        };
        match inventory::delete(cluster, entry, &params).await {
            Ok(was_there) => {
                were_there += usize::from(was_there);
                deleted.push(entry);
            }
            // Without a connection, the others fail in the same way.
            Err(error) if error.is_refusal() => left.push(Left {
                entry: entry.clone(),
                why: error.why().to_owned(),
            }),
            Err(error) => return Err(error.at(cluster).into()),
        }
    }
    for entry in deleted {
        match wait::gone(cluster, entry, context.deadline, &context.printer).await {
            Ok(()) => {}
            Err(wait::Error::Timeout { why, .. }) => left.push(Left {
                entry: entry.clone(),
                why,
            }),
            Err(error) => return Err(error.into()),
        }
    }
    if left.is_empty() {
        Ok(were_there)
    } else {
        Err(Error::LeftBehind { left })
    }
}
