//! The way in by Gateway API (`gateway.networking.k8s.io`, standard channel,
//! v1): a Gateway that terminates TLS and an HTTPRoute to the manager.
//!
//! The kinds are no part of Kubernetes itself, so there are no types of theirs
//! here; the cluster's own definitions judge the content when it is applied.

use kube::core::{ApiResource, GroupVersionKind, ObjectMeta};
use serde_json::{Value, json};
use silica_api::{names, ports, types::Domain};

use crate::{bag::Object, namespace::metadata, options::GatewayOptions};

/// API group of the Gateway API.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// Version of Gateway, GatewayClass and HTTPRoute since release 1.0.
pub const VERSION: &str = "v1";

/// Kind `Gateway`.
pub fn gateway_resource() -> ApiResource {
    resource(VERSION, "Gateway", "gateways")
}

/// Kind `HTTPRoute`.
pub fn route_resource() -> ApiResource {
    resource(VERSION, "HTTPRoute", "httproutes")
}

/// Kind `GatewayClass`.
pub fn class_resource() -> ApiResource {
    resource(VERSION, "GatewayClass", "gatewayclasses")
}

fn resource(version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, version, kind), plural)
}

/// The objects for one way of exposing by Gateway API.
pub(crate) fn objects(options: &GatewayOptions, domains: &[Domain]) -> Vec<Object> {
    match options {
        GatewayOptions::Own { class } => {
            vec![gateway(class, domains), route(None, names::MANAGER, domains)]
        }
        GatewayOptions::Shared { namespace, name } => {
            let mut objects = vec![route(Some(namespace.as_ref()), name, domains)];
            if namespace.as_ref() != names::NAMESPACE {
                objects.push(grant(namespace.as_ref()));
            }
            objects
        }
    }
}

/// A Gateway with two HTTPS listeners for each domain: a wildcard host does not
/// cover the domain itself.
fn gateway(class: &str, domains: &[Domain]) -> Object {
    let listeners: Vec<Value> = domains
        .iter()
        .enumerate()
        .flat_map(|(number, domain)| {
            [
                listener(&format!("apex-{number}"), domain.as_str()),
                listener(&format!("wildcard-{number}"), &domain.wildcard()),
            ]
        })
        .collect();
    let spec = json!({"gatewayClassName": class, "listeners": listeners});
    object(
        gateway_resource(),
        &metadata(names::MANAGER, names::MANAGER),
        &spec,
    )
}

fn listener(name: &str, host: &str) -> Value {
    json!({
        "name": name,
        "hostname": host,
        "port": ports::SERVICE_HTTPS.number,
        "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": names::TLS_SECRET}]},
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    })
}

/// Everything of the domains goes to the manager. A request has no time limit:
/// commands and watches are streams that last as long as they want.
fn route(gateway_namespace: Option<&str>, gateway: &str, domains: &[Domain]) -> Object {
    let hosts: Vec<String> = domains
        .iter()
        .flat_map(|domain| [domain.to_string(), domain.wildcard()])
        .collect();
    let parent = json!({"name": gateway, "namespace": gateway_namespace.unwrap_or(names::NAMESPACE)});
    let spec = json!({
        "parentRefs": [parent],
        "hostnames": hosts,
        "rules": [{
            "backendRefs": [{"name": names::MANAGER, "port": ports::MANAGER_HTTP.number}],
            "timeouts": {"request": "0s"},
        }],
    });
    object(route_resource(), &metadata(names::MANAGER, names::MANAGER), &spec)
}

/// Lets Gateways of another namespace read the served certificate, and nothing else.
fn grant(gateway_namespace: &str) -> Object {
    let spec = json!({
        "from": [{"group": GROUP, "kind": "Gateway", "namespace": gateway_namespace}],
        "to": [{"group": "", "kind": "Secret", "name": names::TLS_SECRET}],
    });
    let resource = resource("v1beta1", "ReferenceGrant", "referencegrants");
    object(resource, &metadata(names::MANAGER, names::MANAGER), &spec)
}

fn object(resource: ApiResource, metadata: &ObjectMeta, spec: &Value) -> Object {
    Object {
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone().unwrap_or_default(),
        content: json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            "spec": spec,
        }),
        resource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains() -> Vec<Domain> {
        vec!["a.example".parse().unwrap(), "b.example".parse().unwrap()]
    }

    fn own() -> Vec<Object> {
        objects(&GatewayOptions::Own { class: "c".into() }, &domains())
    }

    fn shared(namespace: &str) -> Vec<Object> {
        let options = GatewayOptions::Shared {
            namespace: namespace.parse().unwrap(),
            name: "public".into(),
        };
        objects(&options, &domains())
    }

    #[test]
    fn each_domain_has_a_listener_for_itself_and_one_for_its_wildcard() {
        let gateway = &own()[0];
        let hosts: Vec<&str> = gateway.content["spec"]["listeners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|listener| listener["hostname"].as_str().unwrap())
            .collect();
        assert_eq!(hosts, ["a.example", "*.a.example", "b.example", "*.b.example"]);
    }

    #[test]
    fn the_route_names_its_gateway_with_namespace() {
        let parent = |objects: Vec<Object>| {
            let route = objects
                .into_iter()
                .find(|object| object.resource.kind == "HTTPRoute");
            route.unwrap().content["spec"]["parentRefs"][0].clone()
        };
        assert_eq!(
            parent(own()),
            json!({"name": names::MANAGER, "namespace": names::NAMESPACE})
        );
        assert_eq!(
            parent(shared("infra")),
            json!({"name": "public", "namespace": "infra"})
        );
    }

    #[test]
    fn a_gateway_elsewhere_may_read_the_one_secret() {
        let objects = shared("infra");
        let kinds: Vec<&str> = objects
            .iter()
            .map(|object| object.resource.kind.as_str())
            .collect();
        assert_eq!(kinds, ["HTTPRoute", "ReferenceGrant"]);
        assert_eq!(objects[1].content["spec"]["to"][0]["name"], names::TLS_SECRET);
        assert_eq!(shared(names::NAMESPACE).len(), 1);
    }
}
