//! Constants of the E2B contract that answers carry.

/// Version of the in-sandbox daemon's protocol that clients are told. SDKs parse
/// it as a version number and switch features on by it; the daemon has all that
/// this version promises.
pub const ENVD_VERSION: &str = "0.6.13";

/// `clientID` of every answer: a constant of the protocol without meaning.
pub const CLIENT_ID: &str = "6532622b";

/// `endAt` of a sandbox without a deadline. Far enough to never come, and still
/// inside what RFC 3339 parsers and time zone arithmetic of the SDKs can hold.
pub const END_OF_NEVER: &str = "9999-01-01T00:00:00Z";

/// Routing header: id of the sandbox.
pub const SANDBOX_ID_HEADER: &str = "e2b-sandbox-id";
/// Routing header: port inside the sandbox.
pub const SANDBOX_PORT_HEADER: &str = "e2b-sandbox-port";
/// Carries the traffic token of a sandbox without public traffic.
pub const TRAFFIC_TOKEN_HEADER: &str = "e2b-traffic-access-token";
