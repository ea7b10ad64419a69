//! Asks the cluster for all parts, and goes on after one that cannot be had.

use serde_json::json;

use super::{collection::Collection, logs, objects};
use crate::{
    cli::{context::Context, error::Error},
    cluster::request,
    commands::{doctor, status},
};

const README: &str = "\
What `silica support` saw of a cluster.

version.json   of the command and of the API server
status.json    as `silica status -o json`
findings.json  as `silica doctor -o json`
objects/       of the installation, of the cluster, and of users (everywhere)
logs/          of controller and manager
missing.txt    what could not be read, if anything

Values of Secrets, and variables, commands and annotations of users' pods are not in here.
";

/// All parts. Fails only when the cluster cannot be reached at all.
pub(super) async fn all(context: &Context, log_lines: i64) -> Result<Collection, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    let mut collection = Collection::default();
    collection.add("README.txt", README);

    printer.start("versions");
    let server = match cluster.client.apiserver_version().await {
        Ok(server) => Some(server),
        Err(error) => match request("read", "the version of the API server")(error).at(&cluster) {
            refused if refused.is_refusal() => collection.take("version", Err(refused)),
            unreachable => return Err(unreachable.into()),
        },
    };
    let versions = json!({"silica": env!("CARGO_PKG_VERSION"), "kubernetes": server});
    collection.add_json("version.json", &versions);
    printer.done("read");

    printer.start("state and findings");
    if let Some(seen) = collection.take("status and findings", status::look(&cluster).await) {
        collection.add_json("status.json", &seen.to_json());
        let findings = doctor::read_json(&cluster, &seen).await;
        if let Some(findings) = collection.take("findings", findings) {
            collection.add_json("findings.json", &findings);
        }
    }
    printer.done("read");

    printer.start("objects");
    let pods = objects::collect(&cluster.client, &mut collection).await;
    printer.done("listed");

    printer.start("logs");
    logs::collect(&cluster.client, &pods, log_lines, &mut collection).await;
    printer.done(&format!("of {} pods", pods.len()));
    Ok(collection)
}
