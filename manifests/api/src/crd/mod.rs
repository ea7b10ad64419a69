//! The custom resource types.

mod sandbox;
mod sandbox_claim;
mod sandbox_set;
mod sandbox_template;
mod template;

pub use sandbox::{
    Condition, ConditionStatus, InplaceUpdate, PauseStrategy, PauseStrategyType, PersistentMount, Phase,
    PodInfo, RuntimeRef, Sandbox, SandboxSpec, SandboxStatus, condition,
};
pub use sandbox_claim::{
    ClaimInplaceUpdate, ClaimPhase, ClaimResources, DynamicVolumeMount, PendingSandbox, SandboxClaim,
    SandboxClaimSpec, SandboxClaimStatus,
};
pub use sandbox_set::{SandboxSet, SandboxSetSpec, SandboxSetStatus, ScaleStrategy, UpdateStrategy};
pub use sandbox_template::{SandboxTemplate, SandboxTemplateSpec};
pub use template::{PodTemplate, TemplateRef, VolumeClaimTemplate};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// All definitions, in the order in which they are installed.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        Sandbox::crd(),
        SandboxSet::crd(),
        SandboxTemplate::crd(),
        SandboxClaim::crd(),
    ]
}
