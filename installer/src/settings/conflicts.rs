//! Values that contradict one another.
//!
//! A value is refused when it has no effect because of another one, unless that
//! other one was said later on purpose: `--expose direct` over a file with an
//! `ingress` section is no mistake, `--ingress-class` together with it is.

use super::{
    Error,
    layer::Origin,
    resolve::Resolved,
    values::{Exposure, ImageDelivery, ServiceKind, Values},
};

struct Rule {
    /// Keys that have no effect, by their beginning.
    keys: &'static [&'static str],
    /// The key that decides.
    decides: &'static str,
    /// What it would have to be.
    needs: &'static str,
    /// Whether it is so.
    holds: fn(&Values) -> bool,
}

const RULES: [Rule; 11] = [
    Rule {
        keys: &["ingress."],
        decides: "expose",
        needs: "expose with ingress in it (--expose ingress)",
        holds: |values| values.expose.contains(&Exposure::Ingress),
    },
    Rule {
        keys: &["service."],
        decides: "expose",
        needs: "expose with direct in it (--expose direct)",
        holds: |values| values.expose.contains(&Exposure::Direct),
    },
    Rule {
        keys: &["gateway."],
        decides: "expose",
        needs: "expose with gateway in it (--expose gateway)",
        holds: |values| values.expose.contains(&Exposure::Gateway),
    },
    Rule {
        keys: &["service.nodePorts.", "service.externalTrafficPolicy"],
        decides: "service.type",
        needs: "service.type NodePort or LoadBalancer",
        holds: |values| {
            matches!(
                values.service.kind,
                ServiceKind::NodePort | ServiceKind::LoadBalancer
            )
        },
    },
    Rule {
        keys: &["service.hostPorts."],
        decides: "service.type",
        needs: "service.type HostPort",
        holds: |values| values.service.kind == ServiceKind::HostPort,
    },
    Rule {
        keys: &["images.delivery"],
        decides: "images.registry",
        needs: "images.registry (--registry HOST[:PORT]/PREFIX)",
        holds: |values| values.images.delivery != ImageDelivery::Registry || values.images.registry.is_some(),
    },
    Rule {
        keys: &[
            "images.registryPlainHttp",
            "images.registryCa",
            "images.createPullSecret",
        ],
        decides: "images.registry",
        needs: "images.registry (--registry HOST[:PORT]/PREFIX)",
        holds: |values| values.images.registry.is_some(),
    },
    Rule {
        keys: &["gateway.className"],
        decides: "gateway.name",
        needs: "no gateway.name: a Gateway is either made or named",
        holds: |values| values.gateway.class_name.is_none() || values.gateway.name.is_none(),
    },
    Rule {
        keys: &["service.loadBalancer"],
        decides: "service.type",
        needs: "service.type LoadBalancer",
        holds: |values| values.service.kind == ServiceKind::LoadBalancer,
    },
    Rule {
        keys: &["templates.replicas", "templates.namespace", "templates.images."],
        decides: "templates.enabled",
        needs: "templates.enabled (--templates)",
        holds: |values| values.templates.enabled,
    },
    Rule {
        keys: &["templates.enabled"],
        decides: "templates.images.base",
        needs: "templates.images.base (--template-image-base IMAGE)",
        holds: |values| !values.templates.enabled || values.templates.images.base.is_some(),
    },
];

/// Finds the first contradiction.
pub(super) fn check(resolved: &Resolved, values: &Values) -> Result<(), Error> {
    for rule in RULES.iter().filter(|rule| !(rule.holds)(values)) {
        let because = resolved.origin(rule.decides);
        let in_vain = resolved.keys().find(|key| {
            let origin = resolved.origin(key);
            let is_meant = rule.keys.iter().any(|start| key.starts_with(start));
            is_meant && origin.is_given() && rank(origin) >= rank(because)
        });
        if let Some(key) = in_vain {
            return Err(Error::Conflict {
                origin: resolved.origin(key).clone(),
                key,
                needs: rule.needs,
                is: super::show(resolved.value(rule.decides)),
                because: because.clone(),
            });
        }
    }
    Ok(())
}

const fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::Cluster => 1,
        Origin::File { .. } => 2,
        Origin::Variable(_) => 3,
        Origin::Flag(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::layer;

    fn told(yaml: &str, flags: &[(&str, &str)]) -> Option<String> {
        let flags = flags
            .iter()
            .map(|(flag, text)| ((*flag).to_owned(), vec![(*text).to_owned()]))
            .collect();
        let layers = [
            layer::of_file("v.yaml".as_ref(), yaml).unwrap(),
            layer::of_flags(&flags).unwrap(),
        ];
        let resolved = Resolved::of(layers);
        let values = resolved.values().unwrap();
        check(&resolved, &values).err().map(|error| error.to_string())
    }

    #[test]
    fn a_value_without_effect_is_refused_with_the_one_that_takes_it_away() {
        assert_eq!(
            told("service:\n  type: NodePort\n", &[]).unwrap(),
            "v.yaml:2: service.type needs expose with direct in it (--expose direct), but that is ingress (default)"
        );
        for (yaml, flags) in [
            ("expose: [direct]\ningress: {className: a}", &[][..]),
            ("", &[("template-replicas", "3")]),
            ("", &[("templates", "true")]),
            (
                "expose: [direct]\nservice: {type: ClusterIP, nodePorts: {https: 30443}}",
                &[],
            ),
            (
                "expose: [direct]\nservice: {type: NodePort, loadBalancerClass: a}",
                &[],
            ),
        ] {
            assert!(told(yaml, flags).is_some(), "{yaml} {flags:?}");
        }
    }

    #[test]
    fn a_flag_may_overrule_a_file_that_says_more() {
        assert_eq!(told("ingress: {className: a}", &[("expose", "direct")]), None);
        assert_eq!(
            told(
                "templates: {enabled: true, replicas: 3, images: {base: i}}",
                &[("templates", "false")]
            ),
            None
        );
    }
}
