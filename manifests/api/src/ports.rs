//! Network ports, each with the name it has in Services and containers.

use silica_runtime_api::{DAEMON_PORT, INTERPRETER_PORT};

/// A named TCP port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Port {
    /// Name in Service and container specs.
    pub name: &'static str,
    /// TCP port number.
    pub number: u16,
}

/// Plain HTTP of the manager: REST API and data-plane proxy.
pub const MANAGER_HTTP: Port = Port {
    name: "http",
    number: 7788,
};
/// TLS of the manager in direct mode (container port).
pub const MANAGER_HTTPS: Port = Port {
    name: "https",
    number: 8443,
};
/// Health, readiness and metrics of both roles; never exposed outside the cluster.
pub const ADMIN: Port = Port {
    name: "admin",
    number: 9090,
};
/// Service port for plain HTTP on the default port.
pub const SERVICE_HTTP: Port = Port {
    name: "http-web",
    number: 80,
};
/// Service port for TLS.
pub const SERVICE_HTTPS: Port = Port {
    name: "https",
    number: 443,
};
/// In-sandbox daemon (envd protocol).
pub const ENVD: Port = Port {
    name: "envd",
    number: DAEMON_PORT,
};
/// In-sandbox code interpreter.
pub const INTERPRETER: Port = Port {
    name: "interpreter",
    number: INTERPRETER_PORT,
};
