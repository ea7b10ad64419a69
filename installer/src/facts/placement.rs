//! On which nodes the pods of controller and manager may start: labels that they ask
//! for, and taints that they tolerate, judged as the scheduler does.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Taint, Toleration};
use silica_manifests::Options;

/// What our own pods ask of a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placement<'a> {
    /// Labels that a node must have; none when absent.
    selector: Option<&'a BTreeMap<String, String>>,
    tolerations: &'a [Toleration],
}

impl<'a> Placement<'a> {
    /// That of an installation with these options.
    pub fn of(options: &'a Options) -> Self {
        Self {
            selector: Some(&options.node_selector).filter(|selector| !selector.is_empty()),
            tolerations: &options.tolerations,
        }
    }

    /// Whether the pods ask for labels at all.
    pub const fn is_selective(&self) -> bool {
        self.selector.is_some()
    }

    /// The value that is asked for of one label.
    pub fn selected(&self, label: &str) -> Option<&'a str> {
        Some(self.selector?.get(label)?.as_str())
    }

    /// Whether a node with these labels and taints takes the pods, if it takes any.
    pub fn accepts(&self, labels: &BTreeMap<String, String>, taints: &[Taint]) -> bool {
        let wanted = self.selector.into_iter().flatten();
        let has_labels = wanted.clone().all(|(key, value)| labels.get(key) == Some(value));
        let keeps_off = |taint: &&Taint| {
            taint.effect != "PreferNoSchedule" && !self.tolerations.iter().any(|one| tolerates(one, taint))
        };
        has_labels && !taints.iter().any(|taint| keeps_off(&taint))
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is_any = |wanted: &Option<String>, found: &str| {
        let wanted = wanted.as_deref().unwrap_or_default();
        wanted.is_empty() || wanted == found
    };
    let is_value = toleration.operator.as_deref() == Some("Exists")
        || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    is_any(&toleration.key, &taint.key) && is_any(&toleration.effect, &taint.effect) && is_value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, effect: &str) -> Taint {
        Taint {
            key: key.into(),
            effect: effect.into(),
            ..Taint::default()
        }
    }

    #[test]
    fn labels_are_asked_for_and_taints_have_to_be_tolerated() {
        let selector = [("edge".to_owned(), "true".to_owned())].into();
        let tolerations = [Toleration {
            key: Some("edge".into()),
            operator: Some("Exists".into()),
            effect: Some("NoSchedule".into()),
            ..Toleration::default()
        }];
        let edge = Placement {
            selector: Some(&selector),
            tolerations: &tolerations,
        };
        assert!(edge.accepts(&selector, &[taint("edge", "NoSchedule")]));
        assert!(edge.accepts(&selector, &[taint("spot", "PreferNoSchedule")]));
        assert!(!edge.accepts(&selector, &[taint("edge", "NoExecute")]));
        assert!(!edge.accepts(&selector, &[taint("other", "NoSchedule")]));
        assert!(!edge.accepts(&BTreeMap::new(), &[]));
        assert!(Placement::default().accepts(&selector, &[]));
        assert!(!Placement::default().accepts(&selector, &[taint("edge", "NoSchedule")]));
    }
}
