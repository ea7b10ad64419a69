//! The list of what an installation made, kept in the cluster.
//!
//! It is written before the first object and finalised when the installation serves,
//! so that an interrupted one leaves at worst too many entries, never an object that
//! nobody knows of.

mod stored;

pub use self::stored::read;
pub(crate) use self::stored::{delete, former, write};

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::{ApiResource, GroupVersionKind, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use silica_api::{labels, names};
use silica_manifests::Object;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

const OBJECTS: &str = "objects";
const STATE: &str = "state";
const VERSION: &str = "version";
const DOMAINS: &str = "domains";
/// Among the values; version 0.1 wrote it beside them.
const ADDRESSES: &str = "addresses";
const VALUES: &str = "values";
const VERIFIED: &str = "verified";

/// How far an installation got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Objects are being written.
    Applying,
    /// Everything is written. What the former version had beyond it is still there,
    /// until the new one serves.
    RollingOut,
    /// Everything stands.
    Complete,
    /// Objects are being removed.
    Removing,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::RollingOut => "rolling-out",
            Self::Complete => "complete",
            Self::Removing => "removing",
        }
    }
}

/// Identity of one object.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Plural, as in the URL.
    pub plural: String,
    /// Namespace, absent for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Entry {
    /// The identity of an object.
    pub fn of(object: &Object) -> Self {
        Self {
            api_version: object.resource.api_version.clone(),
            kind: object.resource.kind.clone(),
            plural: object.resource.plural.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        }
    }

    /// A core object in the namespace of the installation.
    pub fn core(kind: &str, plural: &str, name: &str) -> Self {
        Self {
            api_version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            namespace: Some(names::NAMESPACE.into()),
            name: name.into(),
        }
    }

    /// Where the object lives in the API.
    pub fn resource(&self) -> ApiResource {
        let (group, version) = self
            .api_version
            .split_once('/')
            .unwrap_or(("", &self.api_version));
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, &self.kind), &self.plural)
    }

    /// `Kind namespace/name`, or `Kind name` for cluster-scoped objects.
    pub fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

/// The last proof that an installation works.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// When it ended: UTC, RFC 3339, whole seconds.
    pub time: String,
    /// Version of the CLI that made it.
    pub version: String,
    /// The template whose sandbox ran a command; absent when there was none to try,
    /// and API and certificate alone were proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Why it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Verification {
    /// A proof that ended now.
    pub fn new(now: OffsetDateTime, template: Option<String>, failure: Option<String>) -> Self {
        let time = now.to_offset(UtcOffset::UTC).replace_nanosecond(0).unwrap_or(now);
        Self {
            // Fails only for years beyond four digits.
            time: time.format(&Rfc3339).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").into(),
            template,
            failure,
        }
    }

    /// Whether it worked.
    pub const fn is_good(&self) -> bool {
        self.failure.is_none()
    }
}

/// What an installation consists of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inventory {
    /// How far it got.
    pub state: State,
    /// Version of the CLI that wrote it.
    pub version: String,
    /// The domains it answers for.
    pub domains: Vec<String>,
    /// The values that were chosen, as a tree with the keys of the settings file.
    /// They are what the next run starts from.
    pub values: Map<String, Value>,
    /// Its objects.
    pub objects: BTreeSet<Entry>,
    /// The last proof that it works, as it is now: every change drops it.
    pub verified: Option<Verification>,
}

impl Inventory {
    /// Reads the ConfigMap. Lines that cannot be read are left out; they come
    /// from a newer version and are its business.
    pub fn from_config_map(map: &ConfigMap) -> Self {
        let empty = BTreeMap::new();
        let data = map.data.as_ref().unwrap_or(&empty);
        let text = |key: &str| data.get(key).map(String::as_str).unwrap_or_default();
        let list = |key: &str| -> Vec<String> {
            let parts = text(key).split(',').filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        // Version 0.1 kept nothing but the domains.
        let domains = list(DOMAINS);
        let mut values: Map<String, Value> = data
            .get(VALUES)
            .and_then(|text| serde_saphyr::from_str(text).ok())
            .unwrap_or_else(|| Map::from_iter([("e2b".to_owned(), json!({"domain": domains}))]));
        let addresses = list(ADDRESSES);
        if !addresses.is_empty() {
            values.entry(ADDRESSES).or_insert_with(|| addresses.into());
        }
        Self {
            state: match text(STATE) {
                "complete" => State::Complete,
                "rolling-out" => State::RollingOut,
                "removing" => State::Removing,
                _ => State::Applying,
            },
            version: text(VERSION).to_owned(),
            domains,
            values,
            objects: text(OBJECTS)
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            verified: serde_json::from_str(text(VERIFIED)).ok(),
        }
    }

    /// The ConfigMap: one line of JSON an object, so that `kubectl` shows it well.
    pub fn to_config_map(&self) -> ConfigMap {
        let lines: Vec<String> = self
            .objects
            .iter()
            .filter_map(|entry| serde_json::to_string(entry).ok())
            .collect();
        let verified = self
            .verified
            .as_ref()
            .and_then(|verified| serde_json::to_string(verified).ok());
        let data = [
            (STATE, self.state.as_str().to_owned()),
            (VERSION, self.version.clone()),
            (DOMAINS, self.domains.join(",")),
            // A tree of text and numbers, which can always be written.
            (VALUES, serde_saphyr::to_string(&self.values).unwrap_or_default()),
            (OBJECTS, lines.join("\n")),
        ];
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(names::INVENTORY.into()),
                namespace: Some(names::NAMESPACE.into()),
                labels: Some(labels::product()),
                ..ObjectMeta::default()
            },
            data: Some(
                data.into_iter()
                    .chain(verified.map(|verified| (VERIFIED, verified)))
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect(),
            ),
            ..ConfigMap::default()
        }
    }

    /// Where clients reach it, when that was said (`--address`); empty when the
    /// cluster reports it.
    pub fn addresses(&self) -> Vec<String> {
        let said = self.values.get(ADDRESSES).and_then(Value::as_array);
        said.into_iter()
            .flatten()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect()
    }

    /// What the next installation writes first: both lists in one, since after
    /// a crash objects of either may exist.
    #[must_use]
    pub fn merged(&self, former: Option<&Self>, state: State) -> Self {
        let mut objects = self.objects.clone();
        objects.extend(
            former
                .into_iter()
                .flat_map(|former| former.objects.iter().cloned()),
        );
        Self {
            state,
            objects,
            verified: None,
            ..self.clone()
        }
    }

    /// Whether a run that wrote objects has not come to its end.
    pub fn is_unfinished(&self) -> bool {
        matches!(self.state, State::Applying | State::RollingOut)
    }

    /// Whether both say the same, the proofs aside.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let bare = |inventory: &Self| Self {
            verified: None,
            ..inventory.clone()
        };
        bare(self) == bare(other)
    }

    /// Entries that this installation no longer has.
    pub fn dropped_since<'a>(&'a self, former: &'a Self) -> impl Iterator<Item = &'a Entry> {
        former.objects.difference(&self.objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(names: &[&str]) -> Inventory {
        Inventory {
            state: State::Complete,
            version: "1".into(),
            domains: vec!["a.example".into(), "b.example".into()],
            values:
                json!({"e2b": {"domain": ["a.example", "b.example"]}, "nodeSelector": {"a": "1", "b": "true"},
                           "addresses": ["192.0.2.1"], "controller": {"logLevel": 2, "resources": {"requests": {"cpu": "2"}}}})
                .as_object()
                .cloned()
                .unwrap(),
            objects: names
                .iter()
                .map(|name| Entry::core("Secret", "secrets", name))
                .collect(),
            verified: None,
        }
    }

    #[test]
    fn a_written_inventory_reads_back_unchanged() {
        let mut written = inventory(&["a", "b"]);
        assert_eq!(Inventory::from_config_map(&written.to_config_map()), written);
        for state in [State::Applying, State::RollingOut, State::Removing] {
            written.state = state;
            assert_eq!(Inventory::from_config_map(&written.to_config_map()), written);
        }
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for failure in [None, Some("no sandbox came".to_owned())] {
            written.verified = Some(Verification::new(now, Some("base".into()), failure));
            assert_eq!(Inventory::from_config_map(&written.to_config_map()), written);
        }
        assert_eq!(written.verified.unwrap().time, "2027-01-15T08:00:00Z");
    }

    #[test]
    fn a_proof_makes_no_other_installation() {
        let (mut one, other) = (inventory(&["a"]), inventory(&["a"]));
        one.verified = Some(Verification::new(OffsetDateTime::UNIX_EPOCH, None, None));
        assert!(one.says_the_same(&other));
        one.state = State::RollingOut;
        assert!(!one.says_the_same(&other));
    }

    #[test]
    fn without_values_the_domains_are_what_was_chosen() {
        let mut map = inventory(&[]).to_config_map();
        map.data.as_mut().unwrap().remove(VALUES);
        assert_eq!(
            Value::Object(Inventory::from_config_map(&map).values),
            json!({"e2b": {"domain": ["a.example", "b.example"]}})
        );
    }

    #[test]
    fn addresses_are_among_the_values_and_were_once_beside_them() {
        let written = inventory(&[]);
        let mut map = written.to_config_map();
        assert_eq!(written.addresses(), ["192.0.2.1"]);
        let data = map.data.as_mut().unwrap();
        assert!(data.insert(ADDRESSES.into(), "192.0.2.1".into()).is_none());
        assert_eq!(Inventory::from_config_map(&map), written);
        // Values that do not have them, and no values at all.
        for values in [Some("e2b: {domain: [a.example]}"), None] {
            for (beside, expected) in [("192.0.2.7,b.example", 2), ("", 0)] {
                let data = map.data.as_mut().unwrap();
                data.remove(VALUES);
                data.extend(values.map(|text| (VALUES.to_owned(), text.to_owned())));
                data.insert(ADDRESSES.into(), beside.into());
                let read = Inventory::from_config_map(&map).addresses();
                assert_eq!((read.join(","), read.len()), (beside.to_owned(), expected));
            }
        }
    }

    #[test]
    fn an_unreadable_line_hides_no_other() {
        let mut map = inventory(&["a"]).to_config_map();
        map.data
            .as_mut()
            .unwrap()
            .get_mut(OBJECTS)
            .unwrap()
            .push_str("\n{broken");
        assert_eq!(Inventory::from_config_map(&map).objects.len(), 1);
    }

    #[test]
    fn the_first_write_knows_old_and_new_objects() {
        let (old, new) = (inventory(&["a", "b"]), inventory(&["b", "c"]));
        let merged = new.merged(Some(&old), State::Applying);
        assert_eq!(merged.objects.len(), 3);
        assert_eq!(merged.state, State::Applying);
        let dropped: Vec<_> = new.dropped_since(&old).map(|entry| entry.name.as_str()).collect();
        assert_eq!(dropped, ["a"]);
    }

    #[test]
    fn an_entry_finds_its_place_in_the_api() {
        let mut entry = Entry::core("Secret", "secrets", "a");
        assert_eq!(entry.resource().api_version, "v1");
        entry.api_version = "apps/v1".into();
        assert_eq!(
            (entry.resource().group.as_str(), entry.resource().version.as_str()),
            ("apps", "v1")
        );
    }
}
