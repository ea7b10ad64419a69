//! Volumes that a sandbox mounts by the name of a PersistentVolume: what may be asked for.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use silica_api::crd::{DynamicVolumeMount, PersistentMount};
use silica_runtime_api::INSTALL_DIR;

/// Most volumes of one sandbox.
pub const MAX_MOUNTS: usize = 16;
/// Longest path.
const PATH_MAX: usize = 1024;
/// Longest name of a PersistentVolume.
const NAME_MAX: usize = 253;
/// Folders that the container itself consists of; what is below them is its own, too.
const OWN: [&str; 4] = [INSTALL_DIR, "/proc", "/sys", "/dev"];

/// Why mounts are refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not JSON, or with fields that nobody knows.
    #[error(
        "not a JSON list of {{\"pvName\": .., \"mountPath\": .., \"subPath\": .., \"readOnly\": ..}}: {0}"
    )]
    Json(String),
    /// Too many.
    #[error("{0} volumes are asked for; {MAX_MOUNTS} are allowed")]
    Count(usize),
    /// Would have no effect.
    #[error(
        "attributes of volume {pv:?} are not supported: the PersistentVolume itself has the attributes of its driver"
    )]
    Attributes { pv: String },
    /// Not a name of an object.
    #[error("pvName {0:?} is not the name of a PersistentVolume")]
    Name(String),
    /// Not a place in a sandbox.
    #[error("mountPath {0:?} is not an absolute path without '.', '..', ':' and empty parts")]
    MountPath(String),
    /// A place that the sandbox needs.
    #[error("mountPath {path:?} would hide {hidden:?}, which the sandbox needs")]
    Hidden { path: String, hidden: &'static str },
    /// Two volumes at one place.
    #[error("mountPath {0:?} is there twice")]
    Twice(String),
    /// Not a place in a volume.
    #[error("subPath {0:?} is not a path inside of the volume, without '.', '..' and empty parts")]
    SubPath(String),
}

/// Mounts that were checked, at different places.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Mounts(Vec<PersistentMount>);

/// One mount as clients write it. What would be ignored is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    /// A name for people.
    #[serde(default, rename = "mountID")]
    _mount_id: Option<String>,
    pv_name: String,
    mount_path: String,
    sub_path: Option<String>,
    read_only: Option<bool>,
    attributes: Option<BTreeMap<String, serde_json::Value>>,
}

impl Mounts {
    /// Reads the JSON list of a create call.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let asked: Vec<Asked> = serde_json::from_str(text).map_err(|error| Error::Json(error.to_string()))?;
        let mounts = asked.into_iter().map(|asked| {
            if asked.attributes.is_some_and(|attributes| !attributes.is_empty()) {
                return Err(Error::Attributes { pv: asked.pv_name });
            }
            Ok(PersistentMount {
                pv_name: asked.pv_name,
                mount_path: asked.mount_path,
                sub_path: asked.sub_path,
                read_only: asked.read_only.unwrap_or(false),
            })
        });
        Self::check(mounts.collect::<Result<_, _>>()?)
    }

    /// Takes the mounts of a SandboxClaim.
    pub fn of_claim(asked: &[DynamicVolumeMount]) -> Result<Self, Error> {
        let mounts = asked.iter().map(|asked| {
            if !asked.attributes.is_empty() {
                let pv = asked.pv_name.clone();
                return Err(Error::Attributes { pv });
            }
            Ok(PersistentMount {
                pv_name: asked.pv_name.clone(),
                mount_path: asked.mount_path.clone(),
                sub_path: asked.sub_path.clone(),
                read_only: asked.read_only,
            })
        });
        Self::check(mounts.collect::<Result<_, _>>()?)
    }

    /// Checks the mounts of an object, and gives each path its one spelling.
    pub fn check(mut mounts: Vec<PersistentMount>) -> Result<Self, Error> {
        if mounts.len() > MAX_MOUNTS {
            return Err(Error::Count(mounts.len()));
        }
        let mut places = HashSet::new();
        for mount in &mut mounts {
            if !is_object_name(&mount.pv_name) {
                return Err(Error::Name(mount.pv_name.clone()));
            }
            mount.mount_path = mount_path(&mount.mount_path)?;
            mount.sub_path = mount.sub_path.as_deref().map_or(Ok(None), sub_path)?;
            if !places.insert(mount.mount_path.clone()) {
                return Err(Error::Twice(mount.mount_path.clone()));
            }
        }
        Ok(Self(mounts))
    }

    /// Whether nothing is to be mounted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mounts.
    pub fn as_slice(&self) -> &[PersistentMount] {
        &self.0
    }
}

/// A path of one spelling: absolute, without a slash at its end.
fn mount_path(text: &str) -> Result<String, Error> {
    let refused = || Error::MountPath(text.to_owned());
    let inner = text.strip_prefix('/').ok_or_else(refused)?;
    if inner.is_empty() {
        return Err(Error::Hidden {
            path: text.to_owned(),
            hidden: "/",
        });
    }
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if !is_clean(inner) || inner.contains(':') {
        return Err(refused());
    }
    let path = format!("/{inner}");
    let is_below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let hides = |own: &&&str| is_below(own, &path) || is_below(&path, own);
    match OWN.iter().find(hides) {
        Some(hidden) => Err(Error::Hidden { path, hidden }),
        None => Ok(path),
    }
}

/// A path relative to the volume. Product documents write it as an absolute path of the bucket.
fn sub_path(text: &str) -> Result<Option<String>, Error> {
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(None);
    }
    if is_clean(inner) {
        Ok(Some(inner.to_owned()))
    } else {
        Err(Error::SubPath(text.to_owned()))
    }
}

/// Whether a relative path has no parts that mean something else than a name.
fn is_clean(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
    path.len() < PATH_MAX && path.split('/').all(is_name)
}

/// RFC 1123 subdomain.
fn is_object_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = label.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
    };
    name.len() <= NAME_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(mounts: &Value) -> Result<Vec<PersistentMount>, Error> {
        Mounts::parse(&mounts.to_string()).map(|mounts| mounts.0)
    }

    fn at(path: &str) -> Result<String, Error> {
        parse(&json!([{"pvName": "data", "mountPath": path}])).map(|mut mounts| mounts.remove(0).mount_path)
    }

    fn below(path: &str) -> Result<Option<String>, Error> {
        parse(&json!([{"pvName": "data", "mountPath": "/data", "subPath": path}]))
            .map(|mut mounts| mounts.remove(0).sub_path)
    }

    #[test]
    fn the_guides_example_is_read() {
        let mounts = parse(
            &json!([{"pvName": "oss-pv-sandbox-system", "mountPath": "/home/data-oss1",
            "subPath": "data-subPath1", "readOnly": true}]),
        )
        .unwrap();
        assert_eq!(
            mounts,
            [PersistentMount {
                pv_name: "oss-pv-sandbox-system".into(),
                mount_path: "/home/data-oss1".into(),
                sub_path: Some("data-subPath1".into()),
                read_only: true,
            }]
        );
        let all = json!([{"mountID": "m", "pvName": "a", "mountPath": "/a", "subPath": null, "readOnly": null, "attributes": {}}]);
        assert!(!parse(&all).unwrap()[0].read_only);
        assert_eq!(parse(&json!([])), Ok(Vec::new()));
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        let attributes = json!([{"pvName": "a", "mountPath": "/a", "attributes": {"x": "y"}}]);
        assert_eq!(parse(&attributes), Err(Error::Attributes { pv: "a".into() }));
        for bad in [
            json!([{"pvName": "a", "mountPath": "/a", "bucket": "x"}]),
            json!([{"pvName": "a"}]),
            json!({"pvName": "a", "mountPath": "/a"}),
            json!("x"),
        ] {
            assert!(matches!(parse(&bad), Err(Error::Json(_))), "{bad}");
        }
        let claimed = DynamicVolumeMount {
            pv_name: "a".into(),
            mount_path: "/a".into(),
            attributes: [("x".to_owned(), "y".to_owned())].into(),
            ..DynamicVolumeMount::default()
        };
        assert!(matches!(
            Mounts::of_claim(&[claimed]),
            Err(Error::Attributes { .. })
        ));
    }

    #[test]
    fn a_mount_path_is_absolute_clean_and_hides_nothing() {
        assert_eq!(at("/home/data/").as_deref(), Ok("/home/data"));
        assert_eq!(at("/devices").as_deref(), Ok("/devices"));
        assert_eq!(at("/mnt/envd2").as_deref(), Ok("/mnt/envd2"));
        for bad in [
            "", "data", "/a//b", "//a", "/a/..", "/../a", "/a/./b", "/a:b", "/a\nb", "/a//",
        ] {
            assert_eq!(at(bad), Err(Error::MountPath(bad.into())), "{bad:?}");
        }
        assert!(matches!(
            at(&format!("/{}", "a".repeat(PATH_MAX))),
            Err(Error::MountPath(_))
        ));
        for hiding in [
            "/",
            "/mnt",
            "/mnt/",
            "/mnt/envd",
            "/mnt/envd/",
            "/mnt/envd/bin",
            "/proc",
            "/sys/fs",
            "/dev/shm",
        ] {
            assert!(matches!(at(hiding), Err(Error::Hidden { .. })), "{hiding:?}");
        }
    }

    #[test]
    fn a_sub_path_stays_inside_of_its_volume() {
        assert_eq!(below("a/b"), Ok(Some("a/b".into())));
        assert_eq!(below("/bucket/path/"), Ok(Some("bucket/path".into())));
        for all in ["", "/"] {
            assert_eq!(below(all), Ok(None));
        }
        for bad in ["..", "a/../b", "/..", "//a", "a//b", "./a", "a\0b"] {
            assert_eq!(below(bad), Err(Error::SubPath(bad.into())), "{bad:?}");
        }
    }

    #[test]
    fn names_numbers_and_places_are_checked() {
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", "a/b", "a'b", &"a".repeat(254)] {
            let mounts = json!([{"pvName": bad, "mountPath": "/a"}]);
            assert_eq!(parse(&mounts), Err(Error::Name(bad.into())), "{bad:?}");
        }
        let many = |count: usize| -> Value {
            let mount = |index| json!({"pvName": "a.b-c", "mountPath": format!("/{index}")});
            (0..count).map(mount).collect()
        };
        assert!(parse(&many(MAX_MOUNTS)).is_ok());
        assert_eq!(parse(&many(MAX_MOUNTS + 1)), Err(Error::Count(MAX_MOUNTS + 1)));
        let twice = json!([{"pvName": "a", "mountPath": "/a"}, {"pvName": "b", "mountPath": "/a/"}]);
        assert_eq!(parse(&twice), Err(Error::Twice("/a".into())));
    }
}
