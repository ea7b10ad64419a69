//! The ways in from outside, as options of the objects.

use silica_manifests::{
    DirectService, GatewayOptions, HostPorts, LoadBalancer, NodePorts, ServiceType, TrafficPolicy,
};

use super::{Error, resolve::Resolved, values};

/// The Service of its own.
pub(super) fn direct(service: &values::Service) -> DirectService {
    DirectService {
        service_type: match service.kind {
            values::ServiceKind::LoadBalancer => ServiceType::LoadBalancer,
            values::ServiceKind::NodePort => ServiceType::NodePort,
            values::ServiceKind::HostPort => ServiceType::HostPort,
            values::ServiceKind::ClusterIp => ServiceType::ClusterIp,
        },
        host_ports: HostPorts {
            https: service.host_ports.https.unwrap_or(HostPorts::default().https),
            http: service.host_ports.http,
        },
        node_ports: NodePorts {
            https: service.node_ports.https,
            http: service.node_ports.http,
        },
        annotations: service.annotations.clone(),
        load_balancer: LoadBalancer {
            class: service.load_balancer_class.clone(),
            source_ranges: service.load_balancer_source_ranges.clone(),
            traffic_policy: service.external_traffic_policy.map(|policy| match policy {
                values::TrafficPolicy::Cluster => TrafficPolicy::Cluster,
                values::TrafficPolicy::Local => TrafficPolicy::Local,
            }),
        },
    }
}

/// The Gateway: one of our own, or one that is there.
pub(super) fn gateway(gateway: &values::Gateway, resolved: &Resolved) -> Result<GatewayOptions, Error> {
    let needs = || Error::Gateway {
        origin: resolved.origin("expose").clone(),
    };
    if let Some(full) = &gateway.name {
        let (namespace, name) = full.split_once('/').ok_or_else(needs)?;
        let namespace = namespace.parse().map_err(|source| Error::Name {
            what: "namespace of the Gateway",
            origin: resolved.origin("gateway.name").clone(),
            source,
        })?;
        return Ok(GatewayOptions::Shared {
            namespace,
            name: name.to_owned(),
        });
    }
    let class = gateway.class_name.clone().ok_or_else(needs)?;
    Ok(GatewayOptions::Own { class })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::merge;

    #[test]
    fn the_default_exposure_is_the_ingress() {
        let settings = merge(&["--domain", "a.b"], "").unwrap();
        assert!(settings.options.ingress.is_some() && settings.options.direct.is_none());
        let direct = merge(&["--domain", "a.b", "--expose", "direct"], "").unwrap();
        assert!(direct.options.ingress.is_none() && direct.options.direct.is_some());
    }

    #[test]
    fn a_gateway_is_one_of_our_own_or_one_that_is_named() {
        let gateway = |flags: &[&str], yaml: &str| {
            let flags = [&["--domain", "a.b", "--expose", "gateway"], flags].concat();
            merge(&flags, yaml).map(|settings| settings.options.gateway.unwrap())
        };
        let own = GatewayOptions::Own { class: "c".into() };
        let shared = GatewayOptions::Shared {
            namespace: "infra".parse().unwrap(),
            name: "g".into(),
        };
        assert_eq!(gateway(&["--gateway-class", "c"], "").unwrap(), own);
        assert_eq!(gateway(&["--gateway", "infra/g"], "").unwrap(), shared);
        assert_eq!(gateway(&[], "gateway: {className: c}").unwrap(), own);
        for bad in [
            &[][..],
            &["--gateway", "g"],
            &["--gateway", "NO/g"],
            &["--gateway", "infra/g", "--gateway-class", "c"],
        ] {
            assert!(gateway(bad, "").is_err(), "{bad:?}");
        }
        assert!(matches!(
            merge(&["--domain", "a.b", "--gateway-class", "c"], ""),
            Err(Error::Conflict { .. })
        ));
    }

    #[test]
    fn ports_of_the_nodes_need_their_service_type() {
        let direct = ["--domain", "a.b", "--expose", "direct"];
        let host = [&direct[..], &["--service-type", "HostPort"]].concat();
        let ports = |flags: &[&str]| merge(flags, "").unwrap().options.host_ports();
        assert_eq!(ports(&direct), None);
        assert_eq!(ports(&host).map(|ports| ports.https), Some(443));
        let other = [&host[..], &["--host-port-https", "9443"]].concat();
        assert_eq!(ports(&other).map(|ports| ports.https), Some(9443));
        let wrong = [&direct[..], &["--host-port-https", "9443"]].concat();
        assert!(matches!(merge(&wrong, ""), Err(Error::Conflict { .. })));
    }
}
