//! What the server keeps of a SandboxSet.

use kube::ResourceExt as _;
use silica_api::crd::SandboxSet;
use silica_core::resources::Resources;

use super::PoolKey;

/// One pool.
pub(crate) struct SetEntry {
    /// Namespace and name.
    pub(crate) key: PoolKey,
    /// The object, without the fields that nobody reads.
    pub(crate) set: SandboxSet,
    /// Size of its sandboxes.
    pub(crate) resources: Resources,
}

impl SetEntry {
    /// Keeps what is needed of an object.
    pub(crate) fn new(mut set: SandboxSet) -> Option<Self> {
        set.metadata.managed_fields = None;
        set.metadata.annotations = None;
        let key = PoolKey::new(&set.namespace()?, &set.name_any());
        let resources = set
            .spec
            .template
            .as_ref()
            .map(|template| Resources::of_template(&template.0))
            .unwrap_or_default();
        Some(Self { key, set, resources })
    }

    /// Hash of the newest pod template.
    pub(crate) fn template_hash(&self) -> Option<&str> {
        self.set.status.as_ref()?.update_revision.as_deref()
    }
}
