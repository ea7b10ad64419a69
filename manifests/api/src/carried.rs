//! Executables that travel in ConfigMaps, for clusters without a registry and without access to
//! nodes: names and shapes that the installer, the controller and the loader agree on.
//!
//! Chunks of a compressed executable and the loader are mounted into one folder of a container
//! that runs on any image the nodes have. The loader joins, unpacks and verifies them.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ProjectedVolumeSource, Volume, VolumeMount, VolumeProjection,
};

/// Key of the loader in its ConfigMap, and its file name.
pub const LOADER: &str = "silica-loader";
/// Keys of chunks start with this, followed by two digits; the loader joins them in that order.
pub const CHUNK_PREFIX: &str = "chunk-";
/// Most bytes of a chunk: with Base64 and metadata it stays below the 1 MiB that a ConfigMap
/// and the 1.5 MiB that a request to etcd may have.
pub const CHUNK_BYTES: usize = 768 * 1024;
/// Most bytes of all values of a ConfigMap (`MaxSecretSize` of Kubernetes).
pub const CONFIG_MAP_BYTES: usize = 1024 * 1024;
/// Volume with loader and chunks.
pub const VOLUME: &str = "silica-carried";
/// Mount path of [`VOLUME`].
pub const DIR: &str = "/silica/carried";
/// Volume that the manager's executable is unpacked into.
pub const BIN_VOLUME: &str = "silica-bin";
/// Mount path of [`BIN_VOLUME`].
pub const BIN_DIR: &str = "/silica/bin";
/// Everybody may read and run what is mounted.
const MODE: i32 = 0o555;

/// The volume that holds the content of these ConfigMaps in one folder.
pub fn volume(config_maps: &[String]) -> Volume {
    let source = |name: &String| VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: name.clone(),
            ..ConfigMapProjection::default()
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(MODE),
            sources: Some(config_maps.iter().map(source).collect()),
        }),
        ..Volume::default()
    }
}

/// Where a container finds [`volume`].
pub fn mount() -> VolumeMount {
    VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: DIR.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// Command that unpacks the executable with this SHA-256 to `into` and becomes `then`, when
/// that is not empty.
pub fn command(sha256: &str, into: &str, then: &[&str]) -> Vec<String> {
    let loader = format!("{DIR}/{LOADER}");
    let mut words = vec![loader.as_str(), DIR, "--sha256", sha256, "--into", into];
    if !then.is_empty() {
        words.push("--");
        words.extend(then);
    }
    words.into_iter().map(str::to_owned).collect()
}

/// ClusterRole that lets the controller copy the runtime with this SHA-256 into the namespaces
/// of sandboxes, and that owns the copies: when it goes, Kubernetes removes them.
pub fn owner(sha256: &str) -> String {
    format!(
        "{}:runtime-{}",
        crate::names::PRODUCT,
        &sha256[..sha256.len().min(12)]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_verifies_before_anything_runs() {
        assert_eq!(
            command("ab", "/b/x", &["/b/x", "install", "/d"]).join(" "),
            "/silica/carried/silica-loader /silica/carried --sha256 ab --into /b/x -- /b/x install /d"
        );
        assert!(!command("ab", "/b/x", &[]).contains(&"--".to_owned()));
    }

    #[test]
    fn another_runtime_has_another_owner() {
        assert_eq!(
            owner(&"0123456789abcdef".repeat(4)),
            "silica:runtime-0123456789ab"
        );
    }
}
