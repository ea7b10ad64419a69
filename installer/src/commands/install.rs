//! `silica install`: from settings to a running sandbox.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use silica_certs::key::KeyType;

use crate::{
    cli::Format,
    env,
    env_block::{self, EnvBlock},
    error::Error,
    exit::Exit,
    pipeline::{Prepared, Verified},
    report::Output,
    run::Context,
};

const EXAMPLES: &str = "\
Examples:
  silica install --domain sandbox.example.com --ingress-class nginx
  silica install --domain sandbox.example.com --expose direct --service-type LoadBalancer
  silica install --domain sandbox.example.com --expose gateway --gateway-class envoy
  silica install --domain sandbox.example.com --expose direct --service-type HostPort --manager-replicas 1
  silica install --values silica.yaml --dry-run
  silica install --domain sandbox.example.com --registry registry.example.com/silica --create-pull-secret
  silica install --domain sandbox.example.com --images configmap
  silica install --domain silica.localhost --expose direct --service-type NodePort --node-port-https 30443 --yes";

/// Flags of `silica install` and `silica render`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, next_help_heading = "Installation")]
pub struct InstallArgs {
    #[command(flatten)]
    pub format: Format,
    /// Settings file
    #[arg(long, short = 'f', value_name = "FILE", env = env::VALUES)]
    pub values: Option<PathBuf>,
    /// Domain that clients use as E2B_DOMAIN, without `*.`; may be repeated
    #[arg(long, short, value_name = "DOMAIN", env = env::DOMAIN, value_delimiter = ',')]
    pub domain: Vec<String>,
    /// How clients outside the cluster get in; ingress when absent
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WAY")]
    pub expose: Vec<Exposure>,
    /// Replicas of the manager (REST API and proxy)
    #[arg(long, value_name = "N")]
    pub manager_replicas: Option<u32>,
    /// Replicas of the controller
    #[arg(long, value_name = "N")]
    pub controller_replicas: Option<u32>,
    /// Log level of both, 1 to 5
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<u32>,
    /// CPU request of the controller
    #[arg(long, value_name = "QUANTITY")]
    pub controller_cpu: Option<String>,
    /// Memory request of the controller
    #[arg(long, value_name = "QUANTITY")]
    pub controller_memory: Option<String>,
    /// CPU request of the manager
    #[arg(long, value_name = "QUANTITY")]
    pub proxy_cpu: Option<String>,
    /// Memory request of the manager
    #[arg(long, value_name = "QUANTITY")]
    pub proxy_memory: Option<String>,
    /// Node label that our own pods ask for; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub node_selector: Vec<(String, String)>,

    /// Whether clients need an API key
    #[arg(long, value_name = "BOOL", help_heading = "Access")]
    pub auth: Option<bool>,
    /// File with the administrator's API key; generated when absent (the variable SILICA_ADMIN_KEY works too)
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub admin_key_file: Option<PathBuf>,
    /// Show the API key at the end
    #[arg(long, help_heading = "Access")]
    pub show_key: bool,
    /// Write the environment block for the SDKs to this file, readable by you only
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub env_file: Option<PathBuf>,
    /// Write the CA certificate to this file
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub ca_file: Option<PathBuf>,
    /// Key of the server certificate: p256, p384, rsa2048, rsa3072 or rsa4096; that of the present one, or p256, when absent
    #[arg(long, value_name = "TYPE", help_heading = "Access")]
    pub key_type: Option<KeyType>,

    /// Class of the Ingress; the cluster's default when absent
    #[arg(long, value_name = "NAME", help_heading = "Exposure")]
    pub ingress_class: Option<String>,
    /// Annotation of the Ingress; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Exposure")]
    pub ingress_annotation: Vec<(String, String)>,
    /// Type of the Service for direct exposure
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "Exposure")]
    pub service_type: Option<ServiceTypeArg>,
    /// Annotation of the Service for direct exposure; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Exposure")]
    pub service_annotation: Vec<(String, String)>,
    /// Address or host name that clients reach the installation by, when it is not the one that the
    /// cluster reports, as with something in front of node ports; may be repeated
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        help_heading = "Exposure"
    )]
    pub address: Vec<String>,
    /// Fixed node port for TLS
    #[arg(long, value_name = "PORT", help_heading = "Exposure")]
    pub node_port_https: Option<u16>,
    /// Fixed node port for plain HTTP; without it plain HTTP stays inside the cluster
    #[arg(long, value_name = "PORT", help_heading = "Exposure")]
    pub node_port_http: Option<u16>,
    /// Port of the nodes for TLS, with --service-type HostPort; 443 when absent
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Exposure")]
    pub host_port_https: Option<u16>,
    /// Port of the nodes for plain HTTP; without it plain HTTP stays inside the cluster
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Exposure")]
    pub host_port_http: Option<u16>,
    /// Class of the Gateway to make for --expose gateway
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "gateway",
        help_heading = "Exposure"
    )]
    pub gateway_class: Option<String>,
    /// Gateway that is there already, to be used instead of one of our own
    #[arg(long, value_name = "NAMESPACE/NAME", help_heading = "Exposure")]
    pub gateway: Option<String>,

    /// How our executables get to the nodes
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WAY",
        help_heading = "Images"
    )]
    pub images: ImageDelivery,
    /// Registry to push to and to pull from
    #[arg(long, value_name = "HOST[:PORT]/PREFIX", env = env::REGISTRY, help_heading = "Images")]
    pub registry: Option<String>,
    /// Speak plain HTTP to the registry
    #[arg(long, requires = "registry", help_heading = "Images")]
    pub registry_plain_http: bool,
    /// CA certificate of the registry (PEM)
    #[arg(long, value_name = "FILE", requires = "registry", help_heading = "Images")]
    pub registry_ca: Option<PathBuf>,
    /// Make the pull Secret, silica-registry or the one of --image-pull-secret, of the credentials that push
    #[arg(long, requires = "registry", help_heading = "Images")]
    pub create_pull_secret: bool,
    /// Image to run on with `--images configmap`, instead of one that every node has
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub borrow_image: Option<String>,
    /// Socket of containerd, when it is not at a usual place
    #[arg(long, value_name = "SOCKET", env = env::CONTAINERD_ADDRESS, help_heading = "Images")]
    pub containerd_address: Option<PathBuf>,
    /// Image with the manager and controller, instead of the one that silica carries
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub manager_image: Option<String>,
    /// Image with the runtime, instead of the one that silica carries
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub runtime_image: Option<String>,
    /// Secret with registry credentials, in the namespace sandbox-system
    #[arg(long, value_name = "NAME", help_heading = "Images")]
    pub image_pull_secret: Option<String>,

    /// Create the default templates
    #[arg(long, help_heading = "Templates")]
    pub templates: bool,
    /// Image of template `base`
    #[arg(long, value_name = "IMAGE", help_heading = "Templates")]
    pub template_image_base: Option<String>,
    /// Image of template `code-interpreter`
    #[arg(long, value_name = "IMAGE", help_heading = "Templates")]
    pub template_image_code_interpreter: Option<String>,
    /// Warm sandboxes per template
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Templates")]
    pub template_replicas: u32,
    /// Namespace of the templates
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        help_heading = "Templates"
    )]
    pub template_namespace: String,

    /// Show what would change and stop
    #[arg(long, help_heading = "Behaviour")]
    pub dry_run: bool,
    /// Take over a namespace or definitions that something else made
    #[arg(long, help_heading = "Behaviour")]
    pub adopt: bool,
    /// Overwrite fields that somebody else changed
    #[arg(long, help_heading = "Behaviour")]
    pub force_conflicts: bool,
    /// Only apply: neither wait for the pods nor verify anything
    #[arg(long, help_heading = "Behaviour")]
    pub no_wait: bool,
    /// Leave a new version that does not become ready, instead of putting the former one back
    #[arg(long, help_heading = "Behaviour")]
    pub no_rollback: bool,
    /// Do not run a sandbox at the end
    #[arg(long, help_heading = "Behaviour")]
    pub skip_verify: bool,
}

impl InstallArgs {
    /// The administrator's key from the environment. Not a clap argument: those
    /// can be given on the command line, where every process can read them.
    pub fn admin_key_from_env(&self) -> Option<String> {
        std::env::var(env::ADMIN_KEY).ok().filter(|key| !key.is_empty())
    }
}

/// Runs the whole pipeline.
pub async fn run(context: &Context, args: &InstallArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    let compared = Prepared::read(context, &cluster, args)
        .await?
        .compare(context, &cluster)
        .await?;
    if args.dry_run {
        match printer.output() {
            Output::Text => printer.result(compared.describe()),
            Output::Json => printer.json(&compared.to_json()),
        }
        return Ok(Exit::Success);
    }
    if compared.changes_anything() {
        printer.info(compared.describe());
        context
            .confirm(&format!("Write this to the cluster at {}?", cluster.server))
            .await?;
    }
    let applied = Box::pin(compared.apply(context, &cluster)).await?;
    let verified = if args.no_wait {
        printer.warn("not waited for and not verified (--no-wait); see: silica status");
        applied.without_proof()?
    } else {
        let ready = Box::pin(applied.wait(context, &cluster)).await?;
        Box::pin(ready.verify(context, &cluster)).await?
    };

    let block = EnvBlock {
        domain: verified.domain.clone(),
        api_key: verified.admin_key.clone(),
        ca_file: args.ca_file.clone().filter(|_| !verified.ca_bundle.is_empty()),
    };
    if let Some(path) = &block.ca_file {
        env_block::write_file(path, &verified.ca_bundle, env_block::PUBLIC)?;
    }
    if let Some(path) = &args.env_file {
        env_block::write_file(path, &block.render(), env_block::PRIVATE)?;
    }
    match printer.output() {
        Output::Text => printer.result(ending(&verified, &block, args)),
        Output::Json => printer.json(&verified.to_json()),
    }
    Ok(Exit::Success)
}

/// What to do next.
fn ending(verified: &Verified, block: &EnvBlock, args: &InstallArgs) -> String {
    let records = match verified.missing_records.as_slice() {
        [] => String::new(),
        missing => {
            let zone = silica_dns::render_zone(missing);
            format!("\nDNS records to create:\n{zone}Then check with: silica verify-dns\n")
        }
    };
    let environment = match &args.env_file {
        Some(path) => format!("source {}\n", path.display()),
        None if args.show_key => format!("\n{}", block.render()),
        None => "eval \"$(silica env --ca-file silica-ca.crt)\"\n".to_owned(),
    };
    let state = if args.no_wait {
        "is applied, not verified, for"
    } else {
        "serves"
    };
    let template = verified.template.as_deref().unwrap_or("TEMPLATE");
    format!(
        "\nSilica {state} {}.\n{records}\nEnvironment for the E2B SDKs: {environment}\n\
         Try it:\n  pip install e2b\n  python3 -c 'from e2b import Sandbox; s = Sandbox.create(\"{template}\"); \
         print(s.commands.run(\"echo hello\").stdout); s.kill()'\n\n\
         Replace the certificate: silica rotate-certs\nRemove everything:       silica uninstall\n",
        verified.domain
    )
}

/// How clients outside the cluster get in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// The cluster's ingress controller terminates TLS
    Ingress,
    /// The manager terminates TLS itself, behind a Service of its own
    Direct,
    /// A Gateway terminates TLS (Gateway API)
    Gateway,
}

/// Type of the direct Service.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ServiceTypeArg {
    #[value(name = "LoadBalancer", alias = "loadbalancer")]
    LoadBalancer,
    #[value(name = "NodePort", alias = "nodeport")]
    NodePort,
    /// No Service: ports of the nodes that run a manager
    #[value(name = "HostPort", alias = "hostport")]
    HostPort,
    #[value(name = "ClusterIP", alias = "clusterip")]
    ClusterIp,
}

/// How our images get to the nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ImageDelivery {
    /// `registry` when one is named, else `node` when the nodes are here or of kind or k3d, else `configmap`
    #[default]
    Auto,
    /// Push to the registry of --registry
    Registry,
    /// Import into the containerd of this machine, or by kind or k3d
    Node,
    /// Put the executables into ConfigMaps: needs neither registry nor access to nodes
    #[value(name = "configmap")]
    ConfigMap,
    /// The nodes pull them by themselves
    None,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}
