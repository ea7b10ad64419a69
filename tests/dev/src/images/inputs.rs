//! What an image is made of, and the tag that follows from it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use silica_api::names;
use silica_oci::Digest;

/// Changes when this code makes something else of the same files.
const RECIPE: &str = "1";

/// The Debian release of the images.
pub(crate) const SUITE: &str = "bookworm";

/// An image for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Base,
    CodeInterpreter,
    Minimal,
}

impl Name {
    /// In the order they build on each other.
    pub(crate) const ALL: [Self; 3] = [Self::Base, Self::CodeInterpreter, Self::Minimal];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::CodeInterpreter => "code-interpreter",
            Self::Minimal => "minimal",
        }
    }
}

/// The files of one image; `minimal` has none.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) name: Name,
    /// Debian packages.
    pub(crate) packages: Vec<String>,
    /// Python requirements, as pip reads them.
    pub(crate) requirements: String,
    /// Script that runs in the root file system.
    pub(crate) setup: String,
    /// 12 hex digits over everything that decides the content.
    pub(crate) tag: String,
}

impl Inputs {
    pub(crate) fn reference(&self) -> String {
        names::local_image(self.name.text(), &self.tag)
    }
}

/// Reads the files of an image.
pub(crate) fn read(name: Name) -> Result<Inputs> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../images")
        .join(name.text());
    let packages = read_optional(&directory.join("packages.txt"))?;
    let requirements = read_optional(&directory.join("requirements.txt"))?;
    let setup = read_optional(&directory.join("setup.sh"))?;
    let below = match name {
        Name::CodeInterpreter => read(Name::Base)?.tag,
        Name::Base | Name::Minimal => SUITE.to_owned(),
    };
    let pause = Digest::of(&silica_cluster::pause::executable()).hex();
    let tag = tag(&[
        RECIPE,
        // The archive holds the reference.
        names::IMAGE_HOST,
        std::env::consts::ARCH,
        &below,
        &pause,
        &packages,
        &requirements,
        &setup,
    ]);
    let packages = packages
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(Inputs {
        name,
        packages,
        requirements,
        setup,
        tag,
    })
}

fn read_optional(path: &PathBuf) -> Result<String> {
    if !path.exists() {
        return Ok(String::new());
    }
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn tag(inputs: &[&str]) -> String {
    let mut hex = Digest::of(inputs.join("\0").as_bytes()).hex();
    hex.truncate(12);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_depends_on_every_input() {
        assert_eq!(tag(&["a", "b"]).len(), 12);
        assert_ne!(tag(&["a", "b"]), tag(&["a", "c"]));
        assert_ne!(tag(&["ab", ""]), tag(&["a", "b"]));
    }

    #[test]
    fn images_of_the_repository_have_their_files() {
        assert!(read(Name::Base).unwrap().packages.contains(&"python3".to_owned()));
        assert!(
            read(Name::CodeInterpreter)
                .unwrap()
                .requirements
                .contains("ipykernel")
        );
        assert!(read(Name::Minimal).unwrap().setup.is_empty());
    }
}
