//! Names of the objects that an installation consists of, and of the keys
//! inside them.

/// API group of the custom resources.
pub const GROUP: &str = "agents.kruise.io";
/// Served and stored version of the custom resources.
pub const VERSION: &str = "v1alpha1";

/// Namespace that an installation lives in.
pub const NAMESPACE: &str = "sandbox-system";
/// Value of `app.kubernetes.io/part-of` and `app.kubernetes.io/managed-by`.
pub const PRODUCT: &str = "silica";

/// Deployment, ServiceAccount and container name of the controller role.
pub const CONTROLLER: &str = "sandbox-controller";
/// Deployment, Service, Ingress, ServiceAccount and container name of the server role.
pub const MANAGER: &str = "sandbox-manager";
/// Service that brings TLS from outside the cluster straight to the manager.
pub const MANAGER_DIRECT: &str = "sandbox-manager-direct";
/// Lease that elects the one active controller.
pub const CONTROLLER_LEASE: &str = "sandbox-controller";

/// `kubernetes.io/tls` Secret with the served certificate chain.
pub const TLS_SECRET: &str = "sandbox-manager-tls";
/// `kubernetes.io/tls` Secret with the CA certificate and its private key.
pub const CA_SECRET: &str = "sandbox-ca-key-pair";
/// `kubernetes.io/tls` Secret with the CA that follows in a rotation that is under
/// way, and the state of that rotation. The inventory does not list it.
pub const CA_NEXT_SECRET: &str = "sandbox-ca-next";
/// Secret with the ACME account and what a renewal over ACME needs. Whoever
/// ordered a certificate made it; the inventory does not list it.
pub const ACME_SECRET: &str = "sandbox-acme";
/// Key of [`ACME_SECRET`] with the account's credentials as JSON.
pub const ACME_ACCOUNT_KEY: &str = "account.json";
/// Key of [`ACME_SECRET`] with the settings as JSON.
pub const ACME_SETTINGS_KEY: &str = "settings.json";
/// Annotation on [`CA_SECRET`]: `off` keeps the controller from replacing the CA
/// by itself when it nears its end.
pub const CA_RENEWAL: &str = "silica/ca-renewal";
/// Value of [`CA_RENEWAL`].
pub const CA_RENEWAL_OFF: &str = "off";
/// ConfigMap with the trust bundle, key [`CA_BUNDLE_KEY`].
pub const CA_BUNDLE: &str = "sandbox-ca-bundle";
/// Key of [`CA_BUNDLE`].
pub const CA_BUNDLE_KEY: &str = "ca.crt";
/// Entry of a TLS Secret that holds the certificate chain.
pub const TLS_CERTIFICATE: &str = "tls.crt";
/// Entry of a TLS Secret that holds the private key.
pub const TLS_PRIVATE_KEY: &str = "tls.key";
/// Secret with the hashed API keys: [`API_KEYS_PEPPER`], and one JSON entry
/// (see `silica_core::api_key::StoredKey`) per key, named `<key id>.json`.
pub const API_KEYS_SECRET: &str = "sandbox-api-keys";
/// Key of [`API_KEYS_SECRET`] with the 32 random bytes that key the hash.
pub const API_KEYS_PEPPER: &str = "pepper";
/// Secret with the generated admin API key in clear text, key [`ADMIN_KEY_KEY`].
/// Only the administrator reads it; no workload mounts it.
pub const ADMIN_KEY_SECRET: &str = "sandbox-admin-key";
/// Key of [`ADMIN_KEY_SECRET`].
pub const ADMIN_KEY_KEY: &str = "api-key";
/// Secret with the 32 random bytes that sandbox access tokens are derived from,
/// key [`TOKEN_KEY_KEY`]; mounted at [`TOKEN_KEY_DIR`] in controller and manager.
pub const TOKEN_KEY_SECRET: &str = "sandbox-token-key";
/// Key of [`TOKEN_KEY_SECRET`].
pub const TOKEN_KEY_KEY: &str = "key";
/// Mount path of [`TOKEN_KEY_SECRET`].
pub const TOKEN_KEY_DIR: &str = "/etc/silica/token-key";
/// ConfigMap with the inventory of an installation.
pub const INVENTORY: &str = "silica-inventory";
/// ConfigMap with the installation that an unfinished one goes back to when it does
/// not become ready. The inventory does not list it: it goes once the new one serves.
pub const FORMER: &str = "silica-former";

/// Field manager of `silica install`.
pub const FIELD_MANAGER_INSTALLER: &str = "silica";
/// Field manager of the controller.
pub const FIELD_MANAGER_CONTROLLER: &str = "sandbox-controller";
/// Field manager of the server role.
pub const FIELD_MANAGER_MANAGER: &str = "sandbox-manager";

/// Registry part of the images that reach the nodes without a registry. It is below a
/// top-level domain that never resolves (RFC 2606 section 2): an image that did not
/// reach a node cannot be pulled from somebody else's registry instead.
pub const IMAGE_HOST: &str = "silica.invalid";
/// Name of the image with `/sandbox-manager`; the tag is version and content hash.
pub const MANAGER_IMAGE: &str = "sandbox-manager";
/// Name of the image with `/sandbox-runtime`; see [`MANAGER_IMAGE`].
pub const RUNTIME_IMAGE: &str = "sandbox-runtime";

/// Reference of an image that reaches the nodes without a registry.
pub fn local_image(name: &str, tag: &str) -> String {
    format!("{IMAGE_HOST}/{name}:{tag}")
}

/// Name of the container that is the sandbox; else it is the first of its pod.
pub const MAIN_CONTAINER: &str = "sandbox";
/// Name of the init container that brings the runtime into a sandbox pod, both
/// in a user's own template and when the controller injects it.
pub const RUNTIME_CONTAINER: &str = "runtime";
/// Name under `spec.runtimes` that asks for the injected runtime.
pub const AGENT_RUNTIME: &str = "agent-runtime";
/// Volume shared by the runtime container and the main container.
pub const ENVD_VOLUME: &str = "envd-volume";
