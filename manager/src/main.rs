//! `sandbox-manager`: one binary, two roles. Here is only the wiring.

mod args;
mod cluster;
mod logging;
mod shutdown;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use args::{Cli, ControllerArgs, Role, ServerArgs};
use clap::Parser as _;
use silica_controller::RuntimeSource;
use silica_core::token::TokenKey;
use silica_listen::everywhere;
use silica_server::{Auth, Readiness, Shutdown};

/// Most worker threads: a proxy of this size does not profit from more, and each
/// one costs memory on machines with many cores.
const MAX_THREADS: usize = 8;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let threads = std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .min(MAX_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    runtime.block_on(run(cli))
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    logging::init(&cli.role.common().log)?;
    // Before the first use of TLS; an error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shutdown = shutdown::follow_signals().context("failed to listen to signals")?;
    match cli.role {
        Role::Controller(args) => run_controller(args, shutdown).await,
        Role::Server(args) => run_server(args, shutdown).await,
    }
}

async fn run_server(args: ServerArgs, shutdown: Shutdown) -> anyhow::Result<()> {
    let config = silica_server::Config {
        domains: args.domains,
        http: everywhere(args.http_port),
        https: args
            .tls_secret
            .map(|secret| (everywhere(args.https_port), secret)),
        admin: everywhere(args.common.admin_port),
        auth: if args.auth { Auth::Keys } else { Auth::Off },
        max_timeout: args.max_timeout,
        token_key: read_token_key(&args.common)?,
        namespace: args.common.namespace,
        shutdown_delay: Duration::from_secs(args.shutdown_delay),
        drain: Duration::from_secs(args.drain),
    };
    Ok(silica_server::run(config, cluster::connect().await?, shutdown).await?)
}

async fn run_controller(args: ControllerArgs, shutdown: Shutdown) -> anyhow::Result<()> {
    let health = silica_controller::Health::default();
    let config = silica_controller::Config {
        identity: args.identity,
        runtime: match args.runtime_sha256 {
            None => RuntimeSource::Image(args.runtime_image),
            Some(sha256) => RuntimeSource::ConfigMaps {
                image: args.runtime_image,
                names: args.runtime_config_maps,
                sha256,
            },
        },
        token_key: read_token_key(&args.common)?,
        namespace: args.common.namespace.to_string(),
        workers: silica_controller::Config::DEFAULT_WORKERS,
        health: health.clone(),
        authority: silica_controller::AuthorityRenewal {
            is_on: args.ca_renewal,
            spread: args.ca_spread,
            soak: args.ca_soak,
        },
    };
    let client = cluster::connect().await?;
    tokio::select! {
        ended = silica_controller::run(config, client, shutdown.graceful.cancelled_owned()) => Ok(ended?),
        ended = silica_server::serve_admin(everywhere(args.common.admin_port), Arc::new(Controller(health))) => {
            ended.context("failed to serve health and metrics")
        }
        () = shutdown.immediate.cancelled_owned() => Ok(()),
    }
}

/// The controller role as the admin endpoint sees it.
struct Controller(silica_controller::Health);

impl Readiness for Controller {
    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn render_metrics(&self) -> String {
        self.0.render_metrics()
    }
}

fn read_token_key(args: &args::CommonArgs) -> anyhow::Result<TokenKey> {
    let path = &args.token_key_file;
    let bytes =
        std::fs::read(path).with_context(|| format!("failed to read the token key {}", path.display()))?;
    TokenKey::new(&bytes).with_context(|| format!("failed to use the token key {}", path.display()))
}
