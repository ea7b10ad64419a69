//! Runs the controller outside a cluster, for development:
//! `KUBECONFIG=.. RUNTIME_IMAGE=.. cargo run -p silica-controller --example run [crds]`.
//!
//! With the argument `crds` it first applies the custom resource definitions.

use std::env;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use silica_controller::{AuthorityRenewal, Config, Health, RuntimeSource};
use silica_core::token::{KEY_LENGTH, TokenKey};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let client = Client::try_default().await?;
    if env::args().nth(1).as_deref() == Some("crds") {
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in silica_api::crd::all() {
            api.patch(
                &crd.name_any(),
                &PatchParams::apply("silica").force(),
                &Patch::Apply(&crd),
            )
            .await?;
        }
    }
    let health = Health::default();
    let config = Config {
        namespace: env::var("POD_NAMESPACE").unwrap_or_else(|_| "default".to_owned()),
        identity: env::var("POD_NAME").unwrap_or_else(|_| "example".to_owned()),
        runtime: RuntimeSource::Image(
            env::var("RUNTIME_IMAGE")
                .unwrap_or_else(|_| silica_api::names::local_image(silica_api::names::RUNTIME_IMAGE, "dev")),
        ),
        // A fixed key is fine here: nobody trusts these sandboxes.
        token_key: TokenKey::new(&[1; KEY_LENGTH])?,
        workers: Config::DEFAULT_WORKERS,
        health: health.clone(),
        authority: AuthorityRenewal::default(),
    };
    silica_controller::run(config, client, async {
        let _ = tokio::signal::ctrl_c().await;
    })
    .await?;
    println!("{}", health.render_metrics());
    Ok(())
}
