//! How clients reach the manager: the in-cluster Service, the direct Service
//! for TLS from outside, the Ingress, and the objects of the Gateway API.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Service, ServicePort, ServiceSpec},
        networking::v1::{
            HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
            IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
        },
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use silica_api::{
    labels, names,
    ports::{self, Port},
    types::Domain,
};

use crate::{
    bag::{Object, Objects, Phase},
    gateway,
    namespace::metadata,
    options::{DirectService, IngressOptions, Options, ServiceType},
};

/// Annotations that keep ingress-nginx from cutting streams of long commands
/// (60 s by default), from refusing large uploads (1 MiB by default) and from
/// holding output back. Other controllers ignore them.
const STREAMING: &[(&str, &str)] = &[
    ("nginx.ingress.kubernetes.io/proxy-body-size", "0"),
    ("nginx.ingress.kubernetes.io/proxy-buffering", "off"),
    ("nginx.ingress.kubernetes.io/proxy-http-version", "1.1"),
    ("nginx.ingress.kubernetes.io/proxy-read-timeout", "86400"),
    ("nginx.ingress.kubernetes.io/proxy-request-buffering", "off"),
    ("nginx.ingress.kubernetes.io/proxy-send-timeout", "86400"),
];

/// Traefik serves a host over TLS only when it is told to; whether its entry
/// point says so is up to who has set it up. With this it also keeps API keys off
/// its plain HTTP port. Other controllers ignore it.
const TRAEFIK_TLS: (&str, &str) = ("traefik.ingress.kubernetes.io/router.tls", "true");

/// The ALB controller opens port 443 only when it is told to.
const ALB_CLASS: &str = "alb";
const ALB_LISTENERS: (&str, &str) = (
    "alb.ingress.kubernetes.io/listen-ports",
    r#"[{"HTTP":80},{"HTTPS":443}]"#,
);

/// Adds Services and Ingress.
pub(crate) fn add(bag: &mut Objects, options: &Options) {
    bag.add(Phase::Exposure, [Object::of(&in_cluster_service())]);
    let service = |direct: &&DirectService| direct.service_type != ServiceType::HostPort;
    if let Some(direct) = options.direct.as_ref().filter(service) {
        bag.add(Phase::Exposure, [Object::of(&direct_service(direct))]);
    }
    if let Some(ingress) = &options.ingress {
        bag.add(
            Phase::Exposure,
            [Object::of(&ingress_object(ingress, &options.domains))],
        );
    }
    if let Some(gateway) = &options.gateway {
        bag.add(Phase::Exposure, gateway::objects(gateway, &options.domains));
    }
}

fn selector() -> BTreeMap<String, String> {
    [
        (labels::APP_NAME.to_owned(), names::MANAGER.to_owned()),
        (labels::APP_PART_OF.to_owned(), names::PRODUCT.into()),
    ]
    .into()
}

fn service_port(port: &Port, target: &Port) -> ServicePort {
    ServicePort {
        name: Some(port.name.into()),
        port: port.number.into(),
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(target.name.into())),
        ..ServicePort::default()
    }
}

/// Plain HTTP on 80 and 7788 and TLS on 443, for clients inside the cluster and
/// for the Ingress.
fn in_cluster_service() -> Service {
    Service {
        metadata: metadata(names::MANAGER, names::MANAGER),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(selector()),
            ports: Some(vec![
                service_port(&ports::SERVICE_HTTP, &ports::MANAGER_HTTP),
                service_port(&ports::MANAGER_HTTP, &ports::MANAGER_HTTP),
                service_port(&ports::SERVICE_HTTPS, &ports::MANAGER_HTTPS),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// TLS from outside. A Service of its own, because plain HTTP would carry API
/// keys in the clear over a public load balancer; a fixed node port for plain
/// HTTP has to be asked for.
fn direct_service(direct: &DirectService) -> Service {
    let mut https = service_port(&ports::SERVICE_HTTPS, &ports::MANAGER_HTTPS);
    https.node_port = direct.node_ports.https.map(i32::from);
    let mut service_ports = vec![https];
    if let Some(node_port) = direct.node_ports.http {
        let mut http = service_port(&ports::MANAGER_HTTP, &ports::MANAGER_HTTP);
        http.node_port = Some(node_port.into());
        service_ports.push(http);
    }
    let mut metadata = metadata(names::MANAGER, names::MANAGER_DIRECT);
    metadata.annotations = (!direct.annotations.is_empty()).then(|| direct.annotations.clone());
    let balancer = &direct.load_balancer;
    let is_balanced = direct.service_type == ServiceType::LoadBalancer;
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(direct.service_type.as_str().into()),
            selector: Some(selector()),
            ports: Some(service_ports),
            load_balancer_class: balancer.class.clone().filter(|_| is_balanced),
            load_balancer_source_ranges: (is_balanced && !balancer.source_ranges.is_empty())
                .then(|| balancer.source_ranges.clone()),
            external_traffic_policy: balancer
                .traffic_policy
                .filter(|_| direct.service_type != ServiceType::ClusterIp)
                .map(|policy| policy.as_str().into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn ingress_object(options: &IngressOptions, domains: &[Domain]) -> Ingress {
    let hosts: Vec<String> = domains
        .iter()
        .flat_map(|domain| [domain.to_string(), domain.wildcard()])
        .collect();
    let mut metadata = metadata(names::MANAGER, names::MANAGER);
    metadata.annotations = Some(annotations(options));
    Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: options.class.clone(),
            tls: Some(vec![IngressTLS {
                hosts: Some(hosts.clone()),
                secret_name: Some(names::TLS_SECRET.into()),
            }]),
            rules: Some(hosts.into_iter().map(rule).collect()),
            ..IngressSpec::default()
        }),
        status: None,
    }
}

fn annotations(options: &IngressOptions) -> BTreeMap<String, String> {
    let alb = (options.class.as_deref() == Some(ALB_CLASS)).then_some(ALB_LISTENERS);
    let mut annotations: BTreeMap<String, String> = STREAMING
        .iter()
        .copied()
        .chain([TRAEFIK_TLS])
        .chain(alb)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    annotations.extend(options.annotations.clone());
    annotations
}

fn rule(host: String) -> IngressRule {
    IngressRule {
        host: Some(host),
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some("/".into()),
                path_type: "Prefix".into(),
                backend: IngressBackend {
                    service: Some(IngressServiceBackend {
                        name: names::MANAGER.into(),
                        port: Some(ServiceBackendPort {
                            name: Some(ports::MANAGER_HTTP.name.into()),
                            ..ServiceBackendPort::default()
                        }),
                    }),
                    ..IngressBackend::default()
                },
            }],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{LoadBalancer, NodePorts, TrafficPolicy};

    fn domain() -> Domain {
        "sbx.example.com".parse().unwrap()
    }

    #[test]
    fn the_ingress_covers_apex_and_wildcard_in_rules_and_tls() {
        let ingress = ingress_object(&IngressOptions::default(), &[domain()]);
        let spec = ingress.spec.unwrap();
        let hosts: Vec<_> = spec
            .rules
            .unwrap()
            .into_iter()
            .filter_map(|rule| rule.host)
            .collect();
        assert_eq!(hosts, ["sbx.example.com", "*.sbx.example.com"]);
        assert_eq!(spec.tls.unwrap()[0].hosts.as_ref().unwrap(), &hosts);
    }

    #[test]
    fn chosen_annotations_win_over_our_own() {
        let key = "nginx.ingress.kubernetes.io/proxy-read-timeout";
        let chosen = IngressOptions {
            class: None,
            annotations: [(key.to_owned(), "7".to_owned())].into(),
        };
        assert_eq!(annotations(&chosen)[key], "7");
        assert_eq!(annotations(&IngressOptions::default())[key], "86400");
    }

    #[test]
    fn only_the_alb_class_gets_its_listener() {
        let alb = IngressOptions {
            class: Some("alb".into()),
            ..IngressOptions::default()
        };
        assert!(annotations(&alb).contains_key(ALB_LISTENERS.0));
        assert!(!annotations(&IngressOptions::default()).contains_key(ALB_LISTENERS.0));
    }

    #[test]
    fn the_direct_service_exposes_plain_http_only_when_asked() {
        let ports = |direct: &DirectService| {
            let ports = direct_service(direct).spec.unwrap().ports.unwrap();
            ports
                .into_iter()
                .map(|port| (port.port, port.node_port))
                .collect::<Vec<_>>()
        };
        assert_eq!(ports(&DirectService::default()), [(443, None)]);
        let asked = DirectService {
            service_type: ServiceType::NodePort,
            node_ports: NodePorts {
                https: Some(30_443),
                http: Some(30_788),
            },
            ..DirectService::default()
        };
        assert_eq!(ports(&asked), [(443, Some(30_443)), (7788, Some(30_788))]);
    }

    #[test]
    fn options_of_the_load_balancer_go_to_that_type_only() {
        let spec = |service_type| {
            let direct = DirectService {
                service_type,
                load_balancer: LoadBalancer {
                    class: Some("a/b".into()),
                    source_ranges: vec!["203.0.113.0/24".into()],
                    traffic_policy: Some(TrafficPolicy::Local),
                },
                ..DirectService::default()
            };
            direct_service(&direct).spec.unwrap()
        };
        let balanced = spec(ServiceType::LoadBalancer);
        assert_eq!(balanced.load_balancer_class.as_deref(), Some("a/b"));
        assert_eq!(balanced.load_balancer_source_ranges.unwrap(), ["203.0.113.0/24"]);
        assert_eq!(balanced.external_traffic_policy.as_deref(), Some("Local"));
        let port = spec(ServiceType::NodePort);
        assert_eq!(
            (port.load_balancer_class, port.load_balancer_source_ranges),
            (None, None)
        );
        assert_eq!(port.external_traffic_policy.as_deref(), Some("Local"));
        assert_eq!(spec(ServiceType::ClusterIp).external_traffic_policy, None);
    }
}
