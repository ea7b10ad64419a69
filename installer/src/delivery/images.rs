//! Builds our images from the bundle: deterministic, one layer each.

use std::io::{self, BufWriter, Write};

use silica_oci::{Compression, Digest, Entry, Image, ImageConfig, Layer};

use crate::delivery::bundle::{Architecture, Member};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image could not be put together.
    #[error("failed to build image {reference}")]
    Build {
        reference: String,
        source: silica_oci::Error,
    },
    /// The archive could not be written.
    #[error("failed to write the image archive")]
    Archive(#[source] io::Error),
}

/// Label of the images that registries hold.
///
/// It keeps their ids apart from those of imported images. A kubelet remembers which ids it has
/// pulled, and from where (KEP-2535): it would not use an imported image of the same id, but ask
/// the imported one's registry, which does not exist, whether it may.
const PUSHED: (&str, &str) = ("io.silica.delivery", "registry");

/// The images of a member for a registry, one for each architecture. They are put together once:
/// the plan needs their digest, and the registry needs them.
pub fn build(member: &Member) -> Result<&[Image], Error> {
    if let Some(images) = member.for_registry.get() {
        return Ok(images);
    }
    let images = build_anew(member)?;
    Ok(member.for_registry.get_or_init(|| images))
}

fn build_anew(member: &Member) -> Result<Vec<Image>, Error> {
    member
        .parts
        .iter()
        .map(|(architecture, part)| {
            let mut image = image(member, *architecture, &part.binary, Compression::Gzip)?;
            let (name, value) = PUSHED;
            image.config.labels.insert(name.to_owned(), value.to_owned());
            Ok(image)
        })
        .collect()
}

/// Digest of what the member's name stands for in a registry.
pub fn digest(member: &Member) -> Result<Digest, Error> {
    silica_oci::digest(&member.reference(), build(member)?).map_err(|source| Error::Build {
        reference: member.reference(),
        source,
    })
}

/// Writes the images of one architecture as an OCI archive.
pub fn write(members: &[&Member], architecture: Architecture, output: impl Write) -> Result<(), Error> {
    let mut images = Vec::new();
    for member in members {
        if let Some(part) = member.parts.get(&architecture) {
            images.push(image(member, architecture, &part.binary, Compression::None)?);
        }
    }
    let references: Vec<&str> = images.iter().map(|image| image.reference.as_str()).collect();
    silica_oci::write_archive(&images, output).map_err(|source| Error::Build {
        reference: references.join(", "),
        source,
    })
}

/// [`write()`] to a temporary file, which ends with the value.
pub fn archive(members: &[&Member], architecture: Architecture) -> Result<tempfile::NamedTempFile, Error> {
    let file = tempfile::NamedTempFile::new().map_err(Error::Archive)?;
    let mut output = BufWriter::new(file.as_file());
    write(members, architecture, &mut output)?;
    output.flush().map_err(Error::Archive)?;
    drop(output);
    Ok(file)
}

fn image(
    member: &Member,
    architecture: Architecture,
    binary: &[u8],
    compression: Compression,
) -> Result<Image, Error> {
    let executable = format!("/{}", member.name);
    let mut entries = vec![Entry::file(&executable, 0o755, binary)];
    if member.name == silica_api::names::RUNTIME_IMAGE {
        entries.extend(shell(&executable));
    }
    let layer = Layer::from_entries(entries, compression).map_err(|source| Error::Build {
        reference: member.reference(),
        source,
    })?;
    Ok(Image {
        reference: member.reference(),
        layers: vec![layer],
        config: ImageConfig {
            entrypoint: vec![executable],
            architecture: architecture.name().to_owned(),
            ..ImageConfig::default()
        },
    })
}

/// The runtime image also answers to the command of users' own templates, `sh
/// /workspace/entrypoint_inner.sh`: the shell is the runtime itself, and the
/// scripts are there for whoever looks.
fn shell(executable: &str) -> [Entry; 3] {
    const SCRIPT: &str = "#!/bin/sh\n# /bin/sh is sandbox-runtime, which acts on the name of this file:\n\
                          exec /sandbox-runtime install \"${ENVD_DIR:-/mnt/envd}\" --stay\n";
    [
        Entry::symlink("/bin/sh", executable),
        Entry::file("/workspace/entrypoint.sh", 0o755, SCRIPT),
        Entry::file("/workspace/entrypoint_inner.sh", 0o755, SCRIPT),
    ]
}

#[cfg(test)]
mod tests {
    use silica_api::names;

    use super::*;

    fn member(name: &'static str) -> Member {
        Member::new(
            name,
            [
                (Architecture::Amd64, b"one".to_vec(), &b""[..]),
                (Architecture::Arm64, b"two".to_vec(), &b""[..]),
            ],
        )
    }

    #[test]
    fn every_architecture_gets_its_image() {
        let member = member(names::MANAGER_IMAGE);
        let images = build(&member).unwrap();
        let architectures: Vec<&str> = images
            .iter()
            .map(|image| image.config.architecture.as_str())
            .collect();
        assert_eq!(architectures, ["amd64", "arm64"]);
        assert_ne!(images[0].digest().unwrap(), images[1].digest().unwrap());
    }

    #[test]
    fn a_pushed_image_is_another_one_than_an_imported_one() {
        let member = member(names::MANAGER_IMAGE);
        let imported = image(&member, Architecture::Amd64, b"one", Compression::None).unwrap();
        let pushed = &build(&member).unwrap()[0];
        assert_eq!(imported.layers[0].diff_id(), pushed.layers[0].diff_id());
        assert_ne!(imported.digest().unwrap(), pushed.digest().unwrap());
    }

    #[test]
    fn the_runtime_image_answers_to_the_shell_of_templates() {
        let size = |name| build(&member(name)).unwrap()[0].layers[0].size();
        assert!(size(names::RUNTIME_IMAGE) > size(names::MANAGER_IMAGE));
    }

    #[test]
    fn an_archive_holds_one_architecture() {
        let mut archive = Vec::new();
        let member = member(names::MANAGER_IMAGE);
        write(&[&member], Architecture::Arm64, &mut archive).unwrap();
        let text = String::from_utf8_lossy(&archive);
        assert!(text.contains("arm64") && !text.contains("amd64"));
    }
}
