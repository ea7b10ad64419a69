//! Label, annotation and metadata keys.

use std::collections::BTreeMap;

use crate::names;

/// Name of the pool (SandboxSet) that a Sandbox was made for.
pub const POOL: &str = "agents.kruise.io/sandbox-pool";
/// Name of the template that a Sandbox was made from.
pub const TEMPLATE: &str = "agents.kruise.io/sandbox-template";
/// `true` once a Sandbox belongs to a client, `false` while it waits in a pool.
pub const CLAIMED: &str = "agents.kruise.io/sandbox-claimed";
/// Hash of the pod template that a Sandbox was made from.
pub const TEMPLATE_HASH: &str = "agents.kruise.io/template-hash";
/// Name of the Sandbox, on its pod.
pub const SANDBOX_NAME: &str = "agents.kruise.io/sandbox-name";
/// Public id of a Sandbox when it differs from `<namespace>--<name>`.
pub const SANDBOX_ID: &str = "agents.kruise.io/sandbox-id";
/// Marks pods made for a Sandbox, value `sandbox`.
pub const CREATED_BY: &str = "agents.kruise.io/created-by";
/// Keeps a sandbox whose creation failed, for inspection.
pub const RESERVED_FAILED: &str = "agents.kruise.io/reserved-failed-sandbox";
/// Name of the SandboxClaim that a Sandbox was claimed by.
pub const CLAIM_NAME: &str = "agents.kruise.io/claim-name";
/// Prefix of the keys whose meaning is ours.
pub const RESERVED_PREFIX: &str = "agents.kruise.io/";

/// Annotation: id of the team that owns a claimed Sandbox, or UID of its SandboxClaim.
pub const OWNER: &str = "agents.kruise.io/owner";
/// Annotation: RFC 3339 time of the claim.
pub const CLAIM_TIMESTAMP: &str = "agents.kruise.io/claim-timestamp";
/// Annotation: random id of the claim that won.
pub const LOCK: &str = "agents.kruise.io/lock";
/// Annotation: the user metadata of a create call, as one JSON object.
pub const USER_METADATA: &str = "agents.kruise.io/user-metadata";
/// Annotation: SHA-256 of the `Idempotency-Key` and body of the create call.
pub const IDEMPOTENCY: &str = "agents.kruise.io/idempotency-hash";
/// Label: the beginning of [`IDEMPOTENCY`], by which all replicas find the sandboxes of a call.
pub const IDEMPOTENCY_LABEL: &str = "agents.kruise.io/idempotency";
/// Annotation: `true` on the sandbox that the replicas have agreed on for an idempotent call.
pub const IDEMPOTENCY_SETTLED: &str = "agents.kruise.io/idempotency-settled";
/// Annotation: `true` when the sandbox has no deadline at all.
pub const NEVER_TIMEOUT: &str = "agents.kruise.io/never-timeout";
/// Annotation: what happens at the end of the timeout, `kill` or `pause`. The deadline alone does
/// not tell: a paused sandbox has none.
pub const ON_TIMEOUT: &str = "agents.kruise.io/on-timeout";
/// Annotation: traffic resumes the sandbox when it is paused, with a timeout of so many seconds.
pub const AUTO_RESUME: &str = "agents.kruise.io/auto-resume";
/// Annotation: the environment variables of the create call, encrypted.
pub const SEALED_ENV: &str = "agents.kruise.io/sealed-env";
/// Annotation: id of the main container that the claim initialised the daemon of. Any other
/// one, as after a crash, has to be told again whose it is.
pub const INITIALISED_CONTAINER: &str = "agents.kruise.io/initialised-container";
/// Annotation: `true` when the in-sandbox daemon is not to be called.
pub const SKIP_INIT: &str = "agents.kruise.io/skip-init-runtime";
/// Annotation: `false` when clients reach the in-sandbox daemon without a token.
pub const SECURE: &str = "agents.kruise.io/secure";
/// Annotation: `true` when ports other than the in-sandbox daemon's need a traffic token.
pub const PRIVATE_TRAFFIC: &str = "agents.kruise.io/private-traffic";

/// Annotation on a pod: id of the main container that ended for one of another image.
pub const REPLACED_CONTAINER: &str = "agents.kruise.io/replaced-container";

/// Annotation on the served certificate's Secret: SHA-256 of the certificate that
/// was ordered over ACME. Any other certificate in there is somebody else's.
pub const ACME_FINGERPRINT: &str = "silica/acme-fingerprint";

/// Annotation of cert-manager on each Secret that it keeps: name of the Certificate by
/// which it writes the Secret again whenever something else is in it.
pub const CERT_MANAGER_CERTIFICATE: &str = "cert-manager.io/certificate-name";

/// Prefix of the metadata keys that change how a create call works.
pub const EXTENSION_PREFIX: &str = "e2b.agents.kruise.io/";

/// `app.kubernetes.io/name`.
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// `app.kubernetes.io/part-of`.
pub const APP_PART_OF: &str = "app.kubernetes.io/part-of";
/// `app.kubernetes.io/managed-by`.
pub const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// `app.kubernetes.io/version`.
pub const APP_VERSION: &str = "app.kubernetes.io/version";

/// Labels that every installed object carries.
pub fn product() -> BTreeMap<String, String> {
    [(APP_PART_OF, names::PRODUCT), (APP_MANAGED_BY, names::PRODUCT)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// [`product`] plus the component's own name.
pub fn component(name: &str) -> BTreeMap<String, String> {
    let mut labels = product();
    labels.insert(APP_NAME.to_owned(), name.to_owned());
    labels
}
