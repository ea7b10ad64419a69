//! Settings and facts become the complete list of what will be written.

use silica_api::names;
use silica_manifests::{Objects, Options, Phase, objects};
use time::OffsetDateTime;

use crate::{
    cluster::inventory::{Entry, Inventory, State},
    delivery::pack::Packing,
    facts::ClusterFacts,
    secrets::{self, SecretPlan},
    settings::Settings,
};

/// Everything that an installation will do. It holds no secret.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The options with their image references filled in.
    pub options: Options,
    /// The objects by phase.
    pub objects: Objects,
    /// What happens to Secrets.
    pub secrets: SecretPlan,
    /// What the installation consists of afterwards.
    pub inventory: Inventory,
}

/// The objects alone, for `silica render`.
pub fn options(settings: &Settings, packing: impl Into<Packing>) -> Options {
    let Packing { images, carried } = packing.into();
    Options {
        images,
        carried,
        ..settings.options.clone()
    }
}

/// The whole plan. Pure.
pub fn plan(
    settings: &Settings,
    facts: &ClusterFacts,
    packing: impl Into<Packing>,
    now: OffsetDateTime,
) -> Result<Plan, secrets::Error> {
    let options = options(settings, packing);
    let objects = objects(&options);
    let secrets = secrets::plan(
        &facts.existing,
        &options.domains,
        settings.admin_key.as_ref(),
        now,
    )?
    .with_key_type(settings.key_type);
    let mut entries: Vec<Entry> = objects
        .iter()
        // The namespace and the definitions hold users' data; they go only when
        // `uninstall` is told so.
        .filter(|object| !["Namespace", "CustomResourceDefinition"].contains(&object.resource.kind.as_str()))
        .map(Entry::of)
        .collect();
    entries.extend(
        secrets
            .owned()
            .into_iter()
            .map(|name| Entry::core("Secret", "secrets", name)),
    );
    let pull_secret = settings
        .registry
        .as_ref()
        .and_then(|registry| registry.make_pull_secret.as_ref());
    entries.extend(pull_secret.map(|name| Entry::core("Secret", "secrets", name)));
    if secrets.owns_bundle() {
        entries.push(Entry::core("ConfigMap", "configmaps", names::CA_BUNDLE));
    }
    let inventory = Inventory {
        state: State::Complete,
        version: env!("CARGO_PKG_VERSION").into(),
        domains: options.domains.iter().map(ToString::to_string).collect(),
        values: settings.resolved.kept(),
        objects: entries.into_iter().collect(),
        verified: None,
    };
    Ok(Plan {
        options,
        objects,
        secrets,
        inventory,
    })
}

/// What a phase is called while it runs.
pub const fn phase_title(phase: Phase) -> &'static str {
    match phase {
        Phase::Namespace => "Namespace",
        Phase::Crds => "Definitions",
        Phase::Access => "Access rules",
        Phase::Executables => "Executables",
        Phase::Workloads => "Workloads",
        Phase::Exposure => "Exposure",
        Phase::Templates => "Templates",
    }
}
