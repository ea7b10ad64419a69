//! Environment variables that the CLI reads or tells its user to set. Those of
//! parameters are in [`crate::settings::parameter`].

/// Settings file, same as `--values`.
pub const VALUES: &str = "SILICA_VALUES";
/// Registry, same as `--registry`. Not named by the usual rule.
pub const REGISTRY: &str = "SILICA_REGISTRY_ADDRESS";
/// containerd socket, same as `--containerd-address`.
pub const CONTAINERD_ADDRESS: &str = "CONTAINERD_ADDRESS";

/// Read by the E2B SDKs: the domain.
pub const E2B_DOMAIN: &str = "E2B_DOMAIN";
/// Read by the E2B SDKs: the API key.
pub const E2B_API_KEY: &str = "E2B_API_KEY";

/// Variables that name a file which clients read in place of the public CAs. One
/// is not enough: OpenSSL and the Python SDK read the first, and the tools people
/// put around them their own.
pub const REPLACE_ROOTS: [&str; 5] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
];
/// Variables that name a file which clients read beside the public CAs: Node and Deno.
pub const ADD_ROOTS: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];
