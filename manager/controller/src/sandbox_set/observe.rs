//! Reads a pool from the caches.

use std::sync::{Arc, PoisonError};

use kube::ResourceExt;
use silica_api::crd::{Sandbox, SandboxSet};

use crate::{
    context::Context,
    memory::PoolMemory,
    template::{self, Blueprint},
};

/// The sandboxes that the set controls, and its template.
pub(super) fn pool(
    set: &SandboxSet,
    context: &Context,
) -> (Vec<Arc<Sandbox>>, Result<Blueprint, template::Error>) {
    let (namespace, uid) = (set.namespace().unwrap_or_default(), set.uid().unwrap_or_default());
    let members = context.caches.sandboxes.state_filter(|sandbox| {
        sandbox.metadata.namespace.as_ref() == Some(&namespace)
            && sandbox
                .owner_references()
                .iter()
                .any(|owner| owner.controller == Some(true) && owner.uid == uid)
    });
    let template = template::resolve(&set.spec, |name| context.caches.template(&namespace, name));
    (members, template)
}

/// What is remembered of the set; one set is reconciled by one task at a time.
pub(super) fn memory(set: &SandboxSet, context: &Context) -> PoolMemory {
    let mut memory = context.pools.lock().unwrap_or_else(PoisonError::into_inner);
    memory.forget_all_but(&context.caches.sets);
    memory.of(&set.uid().unwrap_or_default())
}

pub(super) fn remember(set: &SandboxSet, pool: PoolMemory, context: &Context) {
    let mut memory = context.pools.lock().unwrap_or_else(PoisonError::into_inner);
    memory.keep(set.uid().unwrap_or_default(), pool);
}
