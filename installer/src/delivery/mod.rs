//! How the executables reach the nodes: chosen before anything is written, shown in the
//! preflight, carried out before the workloads.
//!
//! | Way | Needs |
//! |---|---|
//! | [`Target::Containerd`] | the one node is this machine |
//! | [`Target::Tool`] | a kind or k3d cluster and its tool |
//! | [`Target::Registry`] | a registry that nodes may pull from |
//! | [`Target::Carried`] | an image that every node has already |
//! | [`Target::Nowhere`] | nodes that have the images, or pull them |

pub mod bundle;
pub mod by_hand;
pub mod choose;
pub mod images;
pub mod machine;
pub mod nodes;
pub mod pack;
pub mod pull_secret;
pub mod send;

use std::path::PathBuf;

use silica_manifests::Images;

use self::{
    bundle::{Architecture, Bundle},
    choose::Situation,
    machine::Machine,
    pack::Packing,
};
use crate::{
    cli::{check::Check, error::Error},
    cluster::Cluster,
    facts::placement::Placement,
    settings::{self, ChosenImages, ImageDelivery, RegistrySettings, Settings},
};

/// What loads images into the nodes of a cluster in containers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tool {
    /// kind.
    Kind,
    /// k3d.
    K3d,
}

impl Tool {
    /// Name of the program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::K3d => "k3d",
        }
    }

    /// Arguments that load an archive.
    pub fn arguments(self, archive: &str, cluster: &str) -> Vec<String> {
        let words: [&str; 5] = match self {
            Self::Kind => ["load", "image-archive", archive, "--name", cluster],
            Self::K3d => ["image", "import", archive, "--cluster", cluster],
        };
        words.map(str::to_owned).to_vec()
    }
}

/// Where the executables go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Into this containerd.
    Containerd {
        socket: PathBuf,
        architecture: Architecture,
    },
    /// Into the nodes of this cluster, by its tool.
    Tool {
        tool: Tool,
        cluster: String,
        architecture: Architecture,
    },
    /// To this registry.
    Registry(RegistrySettings),
    /// Into ConfigMaps, to run on this image.
    Carried {
        image: String,
        architecture: Architecture,
    },
    /// Nowhere: the nodes pull them, or have them.
    Nowhere,
}

/// What was decided, before anything is written.
pub struct Delivery {
    /// Where the executables go; nowhere when no way is possible.
    pub target: Target,
    /// What pods name, and what travels in ConfigMaps.
    pub packing: Packing,
    /// Whether it is possible, and fits the nodes.
    pub checks: Vec<Check>,
}

impl Delivery {
    /// Looks at the nodes and at this machine, and decides. Images that were all chosen by name
    /// are the nodes' own business.
    pub async fn decide(
        cluster: &Cluster,
        settings: &Settings,
        bundle: Option<&Bundle>,
    ) -> Result<Self, Error> {
        let Some(bundle) = bundle else {
            return Ok(Self {
                target: Target::Nowhere,
                packing: image_references(settings, None)?.into(),
                checks: Vec::new(),
            });
        };
        let nodes = nodes::read(cluster).await?;
        let situation = Situation {
            way: settings.delivery,
            registry: settings.registry.as_ref(),
            borrow: settings.borrow_image.as_deref(),
            is_socket_named: settings.containerd_address.is_some(),
            placement: Placement::of(&settings.options),
            nodes: nodes.as_deref(),
            machine: &Machine::observe(settings.containerd_address.as_deref()),
            bundled: &bundle.architectures(),
            // A chosen image beside carried executables would be two sources for one pod.
            has_loader: bundle::has_loader() && settings.images == ChosenImages::default(),
        };
        let choice = choose::choose(&situation);
        let mut checks = vec![choose::judge(&situation, &choice)];
        if settings.delivery != ImageDelivery::None {
            checks.push(choose::judge_architectures(&situation, choice.as_ref().ok()));
        }
        let target = choice.map_or(Target::Nowhere, |(target, _)| target);
        let mut packing = pack::pack(bundle, &target)?;
        replace(&mut packing.images, &settings.images);
        Ok(Self {
            target,
            packing,
            checks,
        })
    }
}

/// The image references: chosen ones, else those of the bundle.
pub fn image_references(settings: &Settings, bundle: Option<&Bundle>) -> Result<Images, bundle::Error> {
    let chosen = &settings.images;
    let of_bundle = |pick: fn(&Bundle) -> String| bundle.map(pick).ok_or(bundle::Error::Empty);
    Ok(Images {
        manager: chosen
            .manager
            .clone()
            .map_or_else(|| of_bundle(|bundle| bundle.manager.reference()), Ok)?,
        runtime: chosen
            .runtime
            .clone()
            .map_or_else(|| of_bundle(|bundle| bundle.runtime.reference()), Ok)?,
    })
}

/// Whether the plan needs binaries from the bundle.
pub fn needs_bundle(settings: &Settings) -> bool {
    settings.images.manager.is_none() || settings.images.runtime.is_none()
}

/// What pods name when no cluster is asked: in ConfigMaps only when that was asked for and the
/// image to run on is known, which `borrow` gives when the settings do not.
pub fn without_cluster(settings: &Settings, bundle: &Bundle, borrow: Option<&str>) -> Result<Packing, Error> {
    let architecture = bundle.architectures().first().copied();
    let image = settings.borrow_image.as_deref().or(borrow);
    let target = match (settings.delivery, &settings.registry, image, architecture) {
        (ImageDelivery::Auto | ImageDelivery::Registry, Some(registry), ..) => {
            Target::Registry(registry.clone())
        }
        (ImageDelivery::ConfigMap, _, Some(image), Some(architecture)) => Target::Carried {
            image: image.to_owned(),
            architecture,
        },
        (ImageDelivery::ConfigMap, ..) => {
            return Err(settings::Error::NoBorrowedImage.into());
        }
        _ => Target::Nowhere,
    };
    let mut packing = pack::pack(bundle, &target)?;
    replace(&mut packing.images, &settings.images);
    Ok(packing)
}

/// Chosen references win.
fn replace(images: &mut Images, chosen: &ChosenImages) {
    let Images { manager, runtime } = images;
    for (image, chosen) in [(manager, &chosen.manager), (runtime, &chosen.runtime)] {
        if let Some(chosen) = chosen {
            image.clone_from(chosen);
        }
    }
}
