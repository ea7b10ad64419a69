//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use silica_api::{
    names, ports,
    types::{Domain, NamespaceName},
};

const EXAMPLES: &str = "\
Examples:
  Serve one domain, TLS ended by an Ingress:
    sandbox-manager server --domain sandbox.example.com
  Serve two domains and end TLS here, with the certificate of a Secret:
    sandbox-manager server --domain a.example.com --domain b.example.com --tls-secret sandbox-manager-tls
  Run against the cluster of your kubeconfig, without API keys, for development:
    sandbox-manager server --domain silica.localhost --auth false --token-key-file ./key --log-level 3
  Run the controller:
    sandbox-manager controller --runtime-image silica.invalid/sandbox-runtime:0.1.0";

/// Silica's cluster side: the controller of the custom resources and the E2B server.
#[derive(Debug, Parser)]
#[command(name = "sandbox-manager", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Role,
}

/// What this process is.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Turns Sandboxes into pods and keeps the pools of SandboxSets filled.
    Controller(ControllerArgs),
    /// Serves the E2B REST API and passes traffic on to sandboxes.
    #[command(after_help = EXAMPLES)]
    Server(ServerArgs),
}

impl Role {
    pub(crate) fn common(&self) -> &CommonArgs {
        match self {
            Self::Controller(args) => &args.common,
            Self::Server(args) => &args.common,
        }
    }
}

/// Flags of both roles.
#[derive(Args, Debug)]
pub(crate) struct CommonArgs {
    /// Namespace of the installation: where its Secrets and its Lease are.
    #[arg(long, env = "POD_NAMESPACE", default_value = names::NAMESPACE)]
    pub(crate) namespace: NamespaceName,

    /// Port of /healthz, /readyz and /metrics.
    #[arg(long, default_value_t = ports::ADMIN.number)]
    pub(crate) admin_port: u16,

    /// File with the 32 bytes that sandbox access tokens are derived from.
    #[arg(long, default_value_os_t = default_token_key())]
    pub(crate) token_key_file: PathBuf,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

fn default_token_key() -> PathBuf {
    [names::TOKEN_KEY_DIR, names::TOKEN_KEY_KEY].iter().collect()
}

/// What is logged, and how.
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// Verbosity: 1 own messages, 2 libraries too, 3 own debug, 4 all debug, 5 trace.
    #[arg(long = "log-level", env = "SILICA_LOG_LEVEL", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) level: u8,

    /// Filter by module, for example "info,silica_server=debug"; wins over --log-level.
    #[arg(long = "log-filter", env = "SILICA_LOG_FILTER")]
    pub(crate) filter: Option<String>,

    /// Form of the lines.
    #[arg(long = "log-format", env = "SILICA_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) format: LogFormat,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

/// Flags of the controller role.
#[derive(Args, Debug)]
pub(crate) struct ControllerArgs {
    /// Image with the in-sandbox runtime, for pods whose template brings none.
    #[arg(long)]
    pub(crate) runtime_image: String,

    /// ConfigMaps with the loader and the chunks of the runtime; the image is then any
    /// that the nodes have.
    #[arg(long, value_delimiter = ',', requires = "runtime_sha256", value_name = "NAME")]
    pub(crate) runtime_config_maps: Vec<String>,

    /// SHA-256 of the runtime that these ConfigMaps bring.
    #[arg(long, requires = "runtime_config_maps", value_name = "HEX")]
    pub(crate) runtime_sha256: Option<String>,

    /// Name under which this replica holds the Lease.
    #[arg(long, env = "POD_NAME", default_value_t = default_identity())]
    pub(crate) identity: String,

    /// Whether a CA that nears its end is replaced; otherwise its end is only announced.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) ca_renewal: bool,

    /// Time that clients get to read a new trust bundle, for example 10m [default: 2m].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ca_spread: Option<Duration>,

    /// Time from the switch to a new CA to the end of trust in the former one, for example
    /// 60d [default: the life of a server certificate, 90d].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ca_soak: Option<Duration>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

fn default_identity() -> String {
    format!("{}-{}", names::CONTROLLER, std::process::id())
}

/// Flags of the server role.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Domain that clients use, without wildcard; repeat for more. The first one is
    /// handed out where a request names none.
    #[arg(
        long = "domain",
        env = "SILICA_DOMAINS",
        value_delimiter = ',',
        required = true
    )]
    pub(crate) domains: Vec<Domain>,

    /// Port of plain HTTP.
    #[arg(long, default_value_t = ports::MANAGER_HTTP.number)]
    pub(crate) http_port: u16,

    /// Port of TLS; used with --tls-secret.
    #[arg(long, default_value_t = ports::MANAGER_HTTPS.number)]
    pub(crate) https_port: u16,

    /// Name of the kubernetes.io/tls Secret to serve; turns TLS on.
    #[arg(long)]
    pub(crate) tls_secret: Option<String>,

    /// Whether callers need an API key; without, everybody is the administrator.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) auth: bool,

    /// Longest timeout of a sandbox in seconds.
    #[arg(long, default_value_t = 2_592_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) max_timeout: i64,

    /// Seconds between "not ready" and "no new connections" at the end.
    #[arg(long, default_value_t = 3)]
    pub(crate) shutdown_delay: u64,

    /// Seconds that requests in flight get at the end.
    #[arg(long, default_value_t = 25)]
    pub(crate) drain: u64,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Reads `30s`, `10m`, `12h` or `60d`.
fn duration(text: &str) -> Result<Duration, String> {
    const MALFORMED: &str = "expected a number and s, m, h or d, for example 60d";
    let unit = text.chars().last().ok_or(MALFORMED)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(MALFORMED.into()),
    };
    let number = text
        .strip_suffix(unit)
        .and_then(|number| number.parse::<u64>().ok());
    let total = number.and_then(|number| number.checked_mul(seconds));
    // A hundred years; far above, clocks overflow.
    match total {
        Some(total) if total <= 3_153_600_000 => Ok(Duration::from_secs(total)),
        _ => Err(MALFORMED.into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("60d"), Ok(Duration::from_hours(60 * 24)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        for bad in ["", "d", "5", "-1s", "1w", "99999999999d"] {
            assert!(duration(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn domains_come_repeated_or_as_a_list_and_are_checked() {
        let parse = |text: &str| Cli::try_parse_from(text.split(' '));
        let Role::Server(args) =
            parse("m server --domain a.example.com --domain b.example.com,c.example.com")
                .unwrap()
                .role
        else {
            panic!("not the server")
        };
        assert_eq!(args.domains.len(), 3);
        assert!(args.auth && args.tls_secret.is_none());
        assert!(parse("m server --domain *.example.com").is_err());
        assert!(parse("m server --domain a.example.com --log-level 6").is_err());
        assert!(parse("m server --domain a.example.com --auth false").is_ok());
    }
}
