//! Metadata of a create call: extension keys that change how it works, and the
//! user's own pairs; and the metadata filter of list calls.

use std::{collections::BTreeMap, time::Duration};

use percent_encoding::percent_decode_str;
use silica_api::{crd::PersistentMount, labels::EXTENSION_PREFIX};

use crate::{
    image::{self, ImageReference},
    volume::{self, Mounts},
};

/// Wait for a sandbox when the client names no limit: a minute, but for what the answer needs to
/// reach a Python SDK, which itself gives up after 60 seconds and then cannot say why.
pub const DEFAULT_CLAIM_TIMEOUT: Duration = Duration::from_secs(57);
/// Most bytes of user metadata: an object may have 256 KiB of annotations in all.
pub const MAX_USER_METADATA: usize = 128 * 1024;

/// Key of the list of volumes.
const VOLUME_CONFIG: &str = "csi-volume-config";
/// Key of a single volume.
const VOLUME_NAME: &str = "csi-volume-name";
/// Key of its place in the sandbox.
const MOUNT_POINT: &str = "csi-mount-point";
/// Key of its folder that is mounted.
const SUB_PATH: &str = "csi-subpath";

/// Why metadata is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not `true` or `false`.
    #[error("metadata {EXTENSION_PREFIX}{key} must be \"true\" or \"false\", got {value:?}")]
    Boolean { key: &'static str, value: String },
    /// Not a positive number of seconds.
    #[error("metadata {EXTENSION_PREFIX}{key} must be a positive number of seconds, got {value:?}")]
    Seconds { key: &'static str, value: String },
    /// Not the reference of an image.
    #[error("metadata {EXTENSION_PREFIX}{key} must be the reference of an image, got {value:?}: {error}")]
    Image {
        key: &'static str,
        value: String,
        error: image::Error,
    },
    /// Not a list of volumes to mount, or one that is not allowed.
    #[error("metadata {EXTENSION_PREFIX}{key}: {error}")]
    Volumes { key: &'static str, error: volume::Error },
    /// One half of a single volume.
    #[error(
        "metadata {EXTENSION_PREFIX}{VOLUME_NAME} and {EXTENSION_PREFIX}{MOUNT_POINT} are needed together"
    )]
    HalfVolume,
    /// Two forms at a time, of which one would be ignored.
    #[error(
        "metadata {EXTENSION_PREFIX}{VOLUME_CONFIG} and {EXTENSION_PREFIX}{VOLUME_NAME} exclude each other: put all volumes \
         into {VOLUME_CONFIG}"
    )]
    BothForms,
    /// A key with the extension prefix that nobody knows.
    #[error("metadata {EXTENSION_PREFIX}{0} is not known")]
    Unknown(String),
    /// Too much to store.
    #[error("metadata has {0} bytes; {MAX_USER_METADATA} are allowed")]
    Size(usize),
}

/// What the extension keys of a create call ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Extensions {
    /// `never-timeout`: the sandbox has no deadline.
    pub never_timeout: bool,
    /// `claim-timeout-seconds`: longest wait for a sandbox.
    pub claim_timeout: Duration,
    /// `create-on-no-stock`: an empty pool makes a new sandbox at once.
    pub create_on_no_stock: bool,
    /// `skip-init-runtime`: the in-sandbox daemon is not called.
    pub skip_init_runtime: bool,
    /// `reserve-failed-sandbox`: a sandbox that failed is kept for inspection.
    pub reserve_failed: bool,
    /// `wait-ready-timeout-seconds`: longest wait for a new sandbox, or one whose
    /// image is changed, to get ready. Otherwise what is left of `claim_timeout`.
    pub wait_ready_timeout: Option<Duration>,
    /// `image`: image to run instead of the template's.
    pub image: Option<ImageReference>,
    /// `csi-volume-config`, or `csi-volume-name` with its companions: volumes to mount.
    /// Only a new sandbox can have them.
    pub mounts: Mounts,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            never_timeout: false,
            claim_timeout: DEFAULT_CLAIM_TIMEOUT,
            create_on_no_stock: false,
            skip_init_runtime: false,
            reserve_failed: false,
            wait_ready_timeout: None,
            image: None,
            mounts: Mounts::default(),
        }
    }
}

/// Metadata of a create call, taken apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metadata {
    /// What the extension keys ask for.
    pub extensions: Extensions,
    /// All other pairs, which are stored and given back.
    pub user: BTreeMap<String, String>,
}

impl Metadata {
    /// Takes the metadata of a request apart.
    pub fn parse(pairs: BTreeMap<String, String>) -> Result<Self, Error> {
        let mut metadata = Self::default();
        let mut volumes = Volumes::default();
        let mut size = 0;
        for (key, value) in pairs {
            if let Some(extension) = key.strip_prefix(EXTENSION_PREFIX) {
                if let Some(value) = volumes.take(extension, value) {
                    metadata.extensions.set(extension, value)?;
                }
            } else {
                size += key.len() + value.len();
                metadata.user.insert(key, value);
            }
        }
        if size > MAX_USER_METADATA {
            return Err(Error::Size(size));
        }
        metadata.extensions.mounts = volumes.mounts()?;
        Ok(metadata)
    }
}

impl Extensions {
    fn set(&mut self, key: &str, value: String) -> Result<(), Error> {
        match key {
            "never-timeout" => self.never_timeout = boolean("never-timeout", value)?,
            "create-on-no-stock" => self.create_on_no_stock = boolean("create-on-no-stock", value)?,
            "skip-init-runtime" => self.skip_init_runtime = boolean("skip-init-runtime", value)?,
            "reserve-failed-sandbox" => self.reserve_failed = boolean("reserve-failed-sandbox", value)?,
            "claim-timeout-seconds" => self.claim_timeout = seconds("claim-timeout-seconds", value)?,
            "wait-ready-timeout-seconds" => {
                self.wait_ready_timeout = Some(seconds("wait-ready-timeout-seconds", value)?);
            }
            "image" => self.image = Some(image("image", value)?),
            unknown => return Err(Error::Unknown(unknown.to_owned())),
        }
        Ok(())
    }
}

/// The keys about volumes, which mean something together.
#[derive(Default)]
struct Volumes {
    config: Option<String>,
    name: Option<String>,
    mount_point: Option<String>,
    sub_path: Option<String>,
}

impl Volumes {
    /// Keeps the value if the key is about volumes, else gives it back.
    fn take(&mut self, key: &str, value: String) -> Option<String> {
        let field = match key {
            VOLUME_CONFIG => &mut self.config,
            VOLUME_NAME => &mut self.name,
            MOUNT_POINT => &mut self.mount_point,
            SUB_PATH => &mut self.sub_path,
            _ => return Some(value),
        };
        *field = Some(value);
        None
    }

    fn mounts(self) -> Result<Mounts, Error> {
        let has_single = self.name.is_some() || self.mount_point.is_some() || self.sub_path.is_some();
        match self {
            Self { config: Some(_), .. } if has_single => Err(Error::BothForms),
            Self {
                config: Some(config), ..
            } => Mounts::parse(&config).map_err(|error| Error::Volumes {
                key: VOLUME_CONFIG,
                error,
            }),
            Self {
                name: Some(pv_name),
                mount_point: Some(mount_path),
                sub_path,
                ..
            } => {
                let mount = PersistentMount {
                    pv_name,
                    mount_path,
                    sub_path,
                    read_only: false,
                };
                Mounts::check(vec![mount]).map_err(|error| Error::Volumes {
                    key: VOLUME_NAME,
                    error,
                })
            }
            _ if has_single => Err(Error::HalfVolume),
            _ => Ok(Mounts::default()),
        }
    }
}

fn boolean(key: &'static str, value: String) -> Result<bool, Error> {
    match value.trim() {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Error::Boolean { key, value }),
    }
}

fn seconds(key: &'static str, value: String) -> Result<Duration, Error> {
    match value.trim().parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err(Error::Seconds { key, value }),
    }
}

fn image(key: &'static str, value: String) -> Result<ImageReference, Error> {
    value.parse().map_err(|error| Error::Image { key, value, error })
}

/// Pairs that a listed sandbox must all have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter(Vec<(String, String)>);

impl Filter {
    /// Reads the `metadata` parameter after ordinary query decoding. What is left
    /// is a form whose keys and values are percent-encoded once more.
    pub fn parse(parameter: &str) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self(
            form_urlencoded::parse(parameter.as_bytes())
                .map(|(key, value)| (decoded(&key), decoded(&value)))
                .collect(),
        )
    }

    /// Whether the metadata has all pairs.
    pub fn matches(&self, metadata: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| metadata.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn extension(key: &str, value: &str) -> Result<Metadata, Error> {
        Metadata::parse(pairs(&[(&format!("{EXTENSION_PREFIX}{key}"), value)]))
    }

    #[test]
    fn consumed_keys_do_not_stay_in_the_metadata() {
        let metadata = Metadata::parse(pairs(&[
            ("e2b.agents.kruise.io/never-timeout", "true"),
            ("e2b.agents.kruise.io/claim-timeout-seconds", "5"),
            ("e2b.agents.kruise.io/create-on-no-stock", "True"),
            ("userId", "alice"),
        ]))
        .unwrap();
        assert_eq!(metadata.user, pairs(&[("userId", "alice")]));
        assert!(metadata.extensions.never_timeout && metadata.extensions.create_on_no_stock);
        assert_eq!(metadata.extensions.claim_timeout, Duration::from_secs(5));
    }

    #[test]
    fn defaults_wait_as_long_as_the_sdks_do_and_initialise_the_runtime() {
        let Extensions {
            create_on_no_stock,
            claim_timeout,
            skip_init_runtime,
            ..
        } = Metadata::parse(BTreeMap::new()).unwrap().extensions;
        assert_eq!(
            (create_on_no_stock, claim_timeout.as_secs(), skip_init_runtime),
            (false, 57, false)
        );
    }

    #[test]
    fn what_would_change_the_sandbox_is_refused_not_ignored() {
        assert_eq!(extension("nonsense", "1"), Err(Error::Unknown("nonsense".into())));
    }

    fn volumes(extensions: &[(&str, &str)]) -> Result<Mounts, Error> {
        let pairs = extensions
            .iter()
            .map(|(key, value)| (format!("{EXTENSION_PREFIX}{key}"), (*value).to_owned()));
        Metadata::parse(pairs.collect()).map(|metadata| {
            assert!(metadata.user.is_empty());
            metadata.extensions.mounts
        })
    }

    #[test]
    fn one_volume_can_be_asked_for_without_json() {
        let single = [
            ("csi-volume-name", "data"),
            ("csi-mount-point", "/data"),
            ("csi-subpath", "/a"),
        ];
        let list = r#"[{"pvName": "data", "mountPath": "/data", "subPath": "a"}]"#;
        assert_eq!(volumes(&single), volumes(&[("csi-volume-config", list)]));
        assert_eq!(volumes(&single[..2]).unwrap().as_slice()[0].sub_path, None);
        assert!(volumes(&[]).unwrap().is_empty());
    }

    #[test]
    fn volumes_are_refused_by_the_name_of_their_key() {
        let refused = |pairs: &[(&str, &str)]| volumes(pairs).unwrap_err();
        for half in [
            ("csi-volume-name", "data"),
            ("csi-mount-point", "/data"),
            ("csi-subpath", "a"),
        ] {
            assert_eq!(refused(&[half]), Error::HalfVolume);
            let both = [half, ("csi-volume-config", "[]")];
            assert_eq!(refused(&both), Error::BothForms);
        }
        for (bad, key) in [
            (vec![("csi-volume-config", "x")], "csi-volume-config"),
            (
                vec![("csi-volume-name", "data"), ("csi-mount-point", "/")],
                "csi-volume-name",
            ),
        ] {
            let text = refused(&bad).to_string();
            assert!(
                text.starts_with(&format!("metadata {EXTENSION_PREFIX}{key}: ")),
                "{text}"
            );
        }
    }

    #[test]
    fn an_image_is_read_once_and_a_bad_one_is_refused_by_the_name_of_its_key() {
        let asked = extension("image", "registry.example.com/team/app:1").unwrap();
        let image = asked.extensions.image.unwrap();
        assert_eq!(image.as_str(), "registry.example.com/team/app:1");
        assert!(asked.user.is_empty());
        let refused = extension("image", "App: 1").unwrap_err().to_string();
        assert!(
            refused.starts_with(
                "metadata e2b.agents.kruise.io/image must be the reference of an image, got \"App: 1\": "
            ),
            "{refused}"
        );
    }

    #[test]
    fn malformed_values_are_refused() {
        assert!(matches!(
            extension("never-timeout", "yes"),
            Err(Error::Boolean { .. })
        ));
        for bad in ["0", "-1", "1.5", "soon", ""] {
            assert!(
                matches!(
                    extension("claim-timeout-seconds", bad),
                    Err(Error::Seconds { .. })
                ),
                "{bad:?}"
            );
        }
        let huge = "x".repeat(MAX_USER_METADATA);
        assert!(matches!(
            Metadata::parse(pairs(&[("k", &huge)])),
            Err(Error::Size(_))
        ));
    }

    #[test]
    fn filter_decodes_what_the_sdk_encodes_twice() {
        // As captured from the Python SDK, after query decoding.
        let filter = Filter::parse("k%2520y=v%2526%25C3%25A9");
        assert!(filter.matches(&pairs(&[("k y", "v&é"), ("other", "1")])));
        assert!(!filter.matches(&pairs(&[("k y", "v")])));
    }

    #[test]
    fn filter_needs_all_pairs_and_an_empty_one_matches_everything() {
        let filter = Filter::parse("a=1&b=2");
        assert!(filter.matches(&pairs(&[("a", "1"), ("b", "2")])));
        assert!(!filter.matches(&pairs(&[("a", "1")])));
        assert!(Filter::parse("").matches(&BTreeMap::new()));
    }
}
