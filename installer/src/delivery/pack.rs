//! The bundle as references, or as ConfigMaps.

use silica_api::carried::CONFIG_MAP_BYTES;
use silica_manifests::{Carried, Images, Packed};

use super::Target;
use crate::delivery::{
    bundle::{self, Architecture, Bundle, Member, sha256},
    images,
};

/// Why the bundle cannot travel this way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle itself.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// An image cannot be built.
    #[error(transparent)]
    Images(#[from] images::Error),
    /// The loader does not fit.
    #[error("the loader has {size} bytes, and a ConfigMap holds {CONFIG_MAP_BYTES}")]
    Loader { size: usize },
}

/// What pods name, and what travels in ConfigMaps.
#[derive(Clone)]
pub struct Packing {
    /// References for the two executables.
    pub images: Images,
    /// ConfigMaps, when there is no image.
    pub carried: Option<Carried>,
}

impl From<Images> for Packing {
    fn from(images: Images) -> Self {
        Self {
            images,
            carried: None,
        }
    }
}

/// Puts it together.
pub fn pack(bundle: &Bundle, target: &Target) -> Result<Packing, Error> {
    let of_both = |reference: &dyn Fn(&Member) -> Result<String, Error>| {
        Ok::<_, Error>(Packing {
            images: Images {
                manager: reference(&bundle.manager)?,
                runtime: reference(&bundle.runtime)?,
            },
            carried: None,
        })
    };
    match target {
        Target::Containerd { .. } | Target::Tool { .. } | Target::Nowhere => {
            of_both(&|member| Ok(member.reference()))
        }
        Target::Registry(registry) => of_both(&|member| {
            let digest = images::digest(member)?;
            Ok(registry.address.pinned(member.name, digest))
        }),
        Target::Carried { image, architecture } => Ok(Packing {
            images: Images {
                manager: image.clone(),
                runtime: image.clone(),
            },
            carried: Some(carry(bundle, image, *architecture)?),
        }),
    }
}

fn carry(bundle: &Bundle, image: &str, architecture: Architecture) -> Result<Carried, Error> {
    let loader = bundle::loader(architecture)?;
    if loader.len() > CONFIG_MAP_BYTES {
        return Err(Error::Loader { size: loader.len() });
    }
    let cut = |member: &Member| {
        let part = member.of(architecture)?;
        Ok::<_, Error>(Packed::cut(
            member.name,
            sha256(&part.binary),
            part.compressed,
            sha256,
        ))
    };
    Ok(Carried {
        image: image.to_owned(),
        loader: Packed::whole(sha256(&loader), loader),
        manager: cut(&bundle.manager)?,
        runtime: cut(&bundle.runtime)?,
    })
}
