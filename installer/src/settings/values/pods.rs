//! Our own pods: how many, and how much they get.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Quantity;

/// `sandboxManager`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SandboxManager {
    /// Replicas of the manager (REST API and proxy)
    #[schemars(range(min = 1, max = 100), extend("x-flag" = "manager-replicas", "x-heading" = "Pods"))]
    pub replica_count: u32,
}

impl Default for SandboxManager {
    fn default() -> Self {
        Self { replica_count: 3 }
    }
}

/// `controller`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Controller {
    /// Replicas of the controller; one is active, the others stand by
    #[schemars(range(min = 1, max = 10), extend("x-flag" = "controller-replicas", "x-heading" = "Pods"))]
    pub replica_count: u32,
    /// Log level of controller and manager
    #[schemars(range(min = 1, max = 5), extend("x-flag" = "log-level", "x-value" = "LEVEL", "x-heading" = "Pods"))]
    pub log_level: u8,
    /// Compute resources of a controller pod
    pub resources: controller::Resources,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            replica_count: 2,
            log_level: 1,
            resources: controller::Resources::default(),
        }
    }
}

/// `proxy`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Proxy {
    /// Compute resources of a manager pod
    pub resources: proxy::Resources,
}

/// Compute resources of one component: the keys are the same, the flags are not.
macro_rules! resources {
    ($component:ident, $flag:literal, $pod:literal) => {
        /// Compute resources, as Kubernetes quantities.
        pub mod $component {
            use schemars::JsonSchema;
            use serde::Deserialize;

            use super::Quantity;

            /// `resources`.
            #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            #[schemars(inline)]
            pub struct Resources {
                /// What the scheduler sets aside
                pub requests: Requests,
                /// What the pod may not exceed
                pub limits: Limits,
            }

            /// `requests`.
            #[derive(Clone, Debug, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            #[schemars(inline)]
            pub struct Requests {
                #[doc = concat!("CPU request of a ", $pod, " pod")]
                #[schemars(extend("x-flag" = concat!($flag, "-cpu"), "x-heading" = "Pods"))]
                pub cpu: Quantity,
                #[doc = concat!("Memory request of a ", $pod, " pod")]
                #[schemars(extend("x-flag" = concat!($flag, "-memory"), "x-heading" = "Pods"))]
                pub memory: Quantity,
            }

            impl Default for Requests {
                fn default() -> Self {
                    Self {
                        cpu: Quantity("50m".into()),
                        memory: Quantity("64Mi".into()),
                    }
                }
            }

            /// `limits`.
            #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            #[schemars(inline)]
            pub struct Limits {
                #[doc = concat!("CPU limit of a ", $pod, " pod; a limit adds latency under load")]
                #[schemars(extend("x-flag" = concat!($flag, "-cpu-limit"), "x-heading" = "Pods"))]
                pub cpu: Option<Quantity>,
                #[doc = concat!("Memory limit of a ", $pod, " pod; above it the pod is killed")]
                #[schemars(extend("x-flag" = concat!($flag, "-memory-limit"), "x-heading" = "Pods"))]
                pub memory: Option<Quantity>,
            }
        }
    };
}

resources!(controller, "controller", "controller");

resources!(proxy, "proxy", "manager");
