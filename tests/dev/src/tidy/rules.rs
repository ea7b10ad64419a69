//! The rules: which crate and which folder may use which, and where facts have their home.

/// A name and what it may use.
type Edges = &'static [(&'static str, &'static [&'static str])];

/// Crates and those of the workspace that they depend on, for their tests not counted.
pub(super) const CRATES: Edges = &[
    // What is installed.
    (
        "sandbox-manager",
        &[
            "silica-api",
            "silica-controller",
            "silica-core",
            "silica-listen",
            "silica-server",
        ],
    ),
    (
        "silica-controller",
        &[
            "silica-acme",
            "silica-api",
            "silica-certs",
            "silica-core",
            "silica-runtime-api",
        ],
    ),
    (
        "silica-server",
        &[
            "silica-api",
            "silica-certs",
            "silica-core",
            "silica-listen",
            "silica-runtime-api",
        ],
    ),
    ("silica-core", &["silica-api", "silica-runtime-api"]),
    ("sandbox-runtime", &["silica-listen", "silica-runtime-api"]),
    ("silica-listen", &[]),
    ("silica-runtime-api", &[]),
    ("silica-loader", &[]),
    // What installs it.
    (
        "silica",
        &[
            "silica-acme",
            "silica-api",
            "silica-certs",
            "silica-core",
            "silica-dns",
            "silica-manifests",
            "silica-oci",
            "silica-registry",
        ],
    ),
    ("silica-acme", &["silica-certs"]),
    ("silica-certs", &[]),
    ("silica-dns", &[]),
    ("silica-oci", &[]),
    ("silica-registry", &["silica-oci"]),
    // What both sides know.
    ("silica-api", &["silica-runtime-api"]),
    ("silica-manifests", &["silica-api"]),
    // Tests and the developer program.
    ("xtask", &["silica-provision"]),
    ("silica-provision", &[]),
    (
        "silica-acme-stage",
        &["silica-acme", "silica-certs", "silica-free-ports"],
    ),
    ("silica-bare-stage", &["silica-api", "silica-manifests"]),
    ("silica-free-ports", &[]),
    (
        "silica-cluster",
        &["silica-api", "silica-oci", "silica-provision"],
    ),
    (
        "silica-dev",
        &[
            "silica-api",
            "silica-cluster",
            "silica-manifests",
            "silica-oci",
            "silica-provision",
            "xtask",
        ],
    ),
];

/// Crates with the edges between their folders.
pub(super) const FOLDERS: &[(&str, Edges)] = &[
    (
        "manager/controller/src",
        &[
            ("sandbox_claim", &["sandbox"]),
            ("sandbox_set", &["memory", "sandbox"]),
        ],
    ),
    (
        "runtime/src",
        &[
            ("account", &["os"]),
            ("filesystem", &["account", "os"]),
            ("http", &["access", "account", "filesystem", "freeze", "process"]),
            ("interpreter", &["account", "filesystem", "http", "os", "process"]),
            ("process", &["account", "filesystem", "os"]),
        ],
    ),
];

/// Literals and the one file that they stand in, tests not counted.
pub(super) const LITERALS: &[(&str, &str)] = &[
    ("49999", "runtime/api/src/wire.rs"),
    ("SILICA_ACCESS_TOKEN_SHA256", "runtime/api/src/wire.rs"),
    ("\"tls.crt\"", "manifests/api/src/names.rs"),
    ("\"tls.key\"", "manifests/api/src/names.rs"),
    ("\"ca.crt\"", "manifests/api/src/names.rs"),
];

/// Crates whose library has another name: the package, and the library.
pub(super) const RENAMED: &[(&str, &str)] = &[("rustls-webpki", "webpki")];
