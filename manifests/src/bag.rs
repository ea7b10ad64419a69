//! A bag of Kubernetes objects, ordered by the phase that applies them.

use kube::{Resource, core::ApiResource};
use serde::Serialize;
use serde_json::Value;

/// Steps of an installation. Everything of one phase may be applied at once;
/// a phase starts when the one before it stands.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// The namespace, with its Pod Security labels.
    Namespace,
    /// The custom resource definitions.
    Crds,
    /// ServiceAccounts, Roles and their bindings.
    Access,
    /// Executables that travel in ConfigMaps.
    Executables,
    /// Deployments and their disruption budgets.
    Workloads,
    /// Services and the Ingress.
    Exposure,
    /// The default templates.
    Templates,
}

impl Phase {
    /// All phases, first to last.
    pub const ALL: [Self; 7] = [
        Self::Namespace,
        Self::Crds,
        Self::Access,
        Self::Executables,
        Self::Workloads,
        Self::Exposure,
        Self::Templates,
    ];

    /// Lower-case name for progress lines and file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Crds => "crds",
            Self::Access => "access",
            Self::Executables => "executables",
            Self::Workloads => "workloads",
            Self::Exposure => "exposure",
            Self::Templates => "templates",
        }
    }
}

/// One object: where it lives in the API, and its content.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Group, version, kind and plural.
    pub resource: ApiResource,
    /// Namespace, absent for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// The whole object as it is sent.
    pub content: Value,
}

impl Object {
    /// The object `typed`. Its name must be set.
    pub fn of<K>(typed: &K) -> Self
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        Self {
            resource: ApiResource::erase::<K>(&()),
            namespace: typed.meta().namespace.clone(),
            name: typed.meta().name.clone().unwrap_or_default(),
            // Kubernetes types have string keys only, so this cannot fail.
            content: serde_json::to_value(typed).unwrap_or(Value::Null),
        }
    }

    /// `Kind namespace/name`, or `Kind name` for cluster-scoped objects.
    pub fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.resource.kind, self.name),
            None => format!("{} {}", self.resource.kind, self.name),
        }
    }
}

/// Objects by phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects(Vec<(Phase, Object)>);

impl Objects {
    /// Adds objects to a phase, behind those already in it.
    pub fn add(&mut self, phase: Phase, objects: impl IntoIterator<Item = Object>) {
        self.0.extend(objects.into_iter().map(|object| (phase, object)));
        self.0.sort_by_key(|(phase, _)| *phase);
    }

    /// The objects of one phase.
    pub fn of_phase(&self, phase: Phase) -> impl Iterator<Item = &Object> {
        self.0
            .iter()
            .filter(move |(of, _)| *of == phase)
            .map(|(_, object)| object)
    }

    /// All objects, in the order in which they are applied.
    pub fn iter(&self) -> impl Iterator<Item = &Object> {
        self.0.iter().map(|(_, object)| object)
    }

    /// The object of this kind and name, if the bag has one.
    pub fn find(&self, kind: &str, name: &str) -> Option<&Object> {
        self.iter()
            .find(|object| object.resource.kind == kind && object.name == name)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
    use kube::core::ObjectMeta;

    use super::*;

    #[test]
    fn phases_keep_their_order_whatever_was_added_first() {
        let meta = |name: &str| ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        let mut bag = Objects::default();
        bag.add(
            Phase::Access,
            [Object::of(&ServiceAccount {
                metadata: meta("late"),
                ..ServiceAccount::default()
            })],
        );
        bag.add(
            Phase::Namespace,
            [Object::of(&Namespace {
                metadata: meta("early"),
                ..Namespace::default()
            })],
        );
        let names: Vec<_> = bag.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["early", "late"]);
    }

    #[test]
    fn an_object_knows_its_place_in_the_api() {
        let metadata = ObjectMeta {
            name: Some("a".into()),
            namespace: Some("b".into()),
            ..ObjectMeta::default()
        };
        let object = Object::of(&ServiceAccount {
            metadata,
            ..ServiceAccount::default()
        });
        assert_eq!(
            (object.resource.plural.as_str(), object.title().as_str()),
            ("serviceaccounts", "ServiceAccount b/a")
        );
        assert_eq!(object.content["kind"], "ServiceAccount");
    }
}
