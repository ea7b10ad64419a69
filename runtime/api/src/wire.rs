//! Ports, header names, paths and environment variables.

// Only literals can be joined while compiling.
macro_rules! install_dir {
    () => {
        "/mnt/envd"
    };
}
macro_rules! binary_name {
    () => {
        "sandbox-runtime"
    };
}
macro_rules! start_script_name {
    () => {
        "envd-run.sh"
    };
}

/// Port of the process, filesystem and file API.
pub const DAEMON_PORT: u16 = 49983;
/// Port of the code interpreter.
pub const INTERPRETER_PORT: u16 = 49999;

/// Header that carries the sandbox's access token.
pub const ACCESS_TOKEN_HEADER: &str = "x-access-token";
/// Header with the seconds between keep-alive messages that a client wants on a stream.
pub const KEEPALIVE_HEADER: &str = "keepalive-ping-interval";
/// Prefix of the upload headers that become metadata of a file.
pub const METADATA_HEADER_PREFIX: &str = "x-metadata-";

/// Answers 204 while the daemon runs; needs no token.
pub const HEALTH_PATH: &str = "/health";
/// Accepts an [`InitRequest`](crate::InitRequest).
pub const INIT_PATH: &str = "/init";
/// The sandbox's resource usage, a [`Usage`](crate::Usage).
pub const METRICS_PATH: &str = "/metrics";
/// The same for the last hour: an array, one for every [`METRICS_STEP_SECONDS`]
/// and one of now, oldest first. Daemons before this path answer 404.
pub const METRICS_HISTORY_PATH: &str = "/metrics/history";
/// Seconds between two samples of the history.
pub const METRICS_STEP_SECONDS: u32 = 5;
/// JSON object of the global environment variables.
pub const ENVS_PATH: &str = "/envs";
/// Downloads (GET) and uploads (POST) files.
pub const FILES_PATH: &str = "/files";
/// Concatenates uploaded files.
pub const COMPOSE_PATH: &str = "/files/compose";
/// Followed by a port: switches the connection over to that port of the
/// sandbox's loopback interface. For the manager, not for clients.
pub const LOOPBACK_PATH: &str = "/loopback/";
/// Protocol that a request for [`LOOPBACK_PATH`] wants to `Upgrade` to: plain bytes.
pub const LOOPBACK_PROTOCOL: &str = "tcp";
/// Stops every process of the sandbox (POST), answered with [`Frozen`](crate::Frozen). For the manager, not for clients.
pub const FREEZE_PATH: &str = "/freeze";
/// Continues what [`FREEZE_PATH`] has stopped (POST), answered with [`Thawed`](crate::Thawed). For the manager.
pub const THAW_PATH: &str = "/thaw";

/// Environment variable of the daemon: lower-case hex SHA-256 of the access
/// token. When set, the token is required from the first request on.
pub const ACCESS_TOKEN_SHA256_ENV: &str = "SILICA_ACCESS_TOKEN_SHA256";
/// Environment variable of the daemon: user of requests that name none.
pub const DEFAULT_USER_ENV: &str = "SILICA_DEFAULT_USER";
/// Environment variable: directory that `install` fills.
pub const INSTALL_DIR_ENV: &str = "ENVD_DIR";
/// Directory that `install` fills when [`INSTALL_DIR_ENV`] is not set.
pub const INSTALL_DIR: &str = install_dir!();
/// File name of the daemon below the install directory.
pub const BINARY_NAME: &str = binary_name!();
/// Path of the daemon below [`INSTALL_DIR`].
pub const BINARY: &str = concat!(install_dir!(), "/", binary_name!());
/// File name of the start script below the install directory.
pub const START_SCRIPT_NAME: &str = start_script_name!();
/// Path of the start script below [`INSTALL_DIR`], which templates call from `postStart`.
pub const START_SCRIPT: &str = concat!(install_dir!(), "/", start_script_name!());

/// Name of the user that sandboxes run commands as by default.
pub const SANDBOX_USER: &str = "user";
