//! The installation's HTTPRoute and its Gateway, as their controller left them.

use kube::api::DynamicObject;
use serde_json::Value;
use silica_api::{names, ports};
use silica_manifests::gateway::{gateway_resource, route_resource};

use crate::cluster::{Cluster, Error, found, request};

/// What the controller says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayState {
    /// `Gateway namespace/name`.
    pub title: String,
    /// Its addresses: IPs or host names.
    pub addresses: Vec<String>,
    /// Port of its listener for TLS.
    pub port: u16,
    /// What keeps it from serving; empty when nothing does.
    pub problems: Vec<String>,
}

/// Reads it; `None` when there is no HTTPRoute of ours, no Gateway API at all, or
/// when the user may not look, since then he has not installed it either.
pub async fn read(cluster: &Cluster) -> Result<Option<GatewayState>, Error> {
    let routes = cluster.objects(&route_resource(), Some(names::NAMESPACE));
    let title = format!("HTTPRoute {}/{}", names::NAMESPACE, names::MANAGER);
    let route = match found(routes.get(names::MANAGER).await) {
        Ok(Some(route)) => route,
        Ok(None) => return Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
        Err(error) => return Err(request("read", title)(error)),
    };
    let (namespace, name) = parent(&route.data);
    let title = format!("Gateway {namespace}/{name}");
    let gateway = found(
        cluster
            .objects(&gateway_resource(), Some(&namespace))
            .get(&name)
            .await,
    )
    .map_err(request("read", &title))?;
    Ok(Some(state(title, &route.data, gateway.as_ref())))
}

/// Namespace and name of the Gateway that a route asks for.
fn parent(route: &Value) -> (String, String) {
    let parent = &route["spec"]["parentRefs"][0];
    let text = |key: &str| parent[key].as_str();
    (
        text("namespace").unwrap_or(names::NAMESPACE).to_owned(),
        text("name").unwrap_or(names::MANAGER).to_owned(),
    )
}

fn state(title: String, route: &Value, gateway: Option<&DynamicObject>) -> GatewayState {
    let mut problems = Vec::new();
    let empty = Value::Null;
    let gateway = gateway.map_or(&empty, |gateway| &gateway.data);
    if gateway.is_null() {
        problems.push(format!("{title} does not exist"));
    } else {
        problems.extend(unmet(
            "Gateway",
            &gateway["status"]["conditions"],
            &["Accepted", "Programmed"],
        ));
        for listener in list(&gateway["status"]["listeners"]) {
            let name = listener["name"].as_str().unwrap_or_default();
            let wanted = ["Accepted", "ResolvedRefs", "Programmed"];
            problems.extend(unmet(
                &format!("listener {name}"),
                &listener["conditions"],
                &wanted,
            ));
        }
    }
    let parents = list(&route["status"]["parents"]);
    if parents.is_empty() {
        problems.push("no controller has taken the HTTPRoute up".into());
    }
    for parent in parents {
        problems.extend(unmet(
            "HTTPRoute",
            &parent["conditions"],
            &["Accepted", "ResolvedRefs"],
        ));
    }
    GatewayState {
        title,
        addresses: addresses(gateway),
        port: tls_port(gateway),
        problems,
    }
}

/// The addresses in a Gateway's status.
pub(crate) fn addresses(gateway: &Value) -> Vec<String> {
    list(&gateway["status"]["addresses"])
        .iter()
        .filter_map(|address| address["value"].as_str().map(str::to_owned))
        .collect()
}

fn tls_port(gateway: &Value) -> u16 {
    list(&gateway["spec"]["listeners"])
        .iter()
        .find(|listener| listener["protocol"] == "HTTPS")
        .and_then(|listener| u16::try_from(listener["port"].as_u64()?).ok())
        .unwrap_or(ports::SERVICE_HTTPS.number)
}

/// Conditions that are not true, with what their controller says. A condition that
/// is not there yet counts only for the whole object: listeners may lack some.
pub(crate) fn unmet(object: &str, conditions: &Value, wanted: &[&str]) -> Vec<String> {
    list(conditions)
        .iter()
        .filter(|condition| {
            let kind = condition["type"].as_str().unwrap_or_default();
            wanted.contains(&kind) && condition["status"] != "True"
        })
        .map(|condition| {
            let text = |key: &str| condition[key].as_str().unwrap_or_default();
            format!("{object} is not {}: {}", text("type"), text("message"))
        })
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gateway(status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"},
            "spec": {"listeners": [{"name": "h", "protocol": "HTTP", "port": 80},
                {"name": "s", "protocol": "HTTPS", "port": 8443}]},
            "status": status,
        }))
        .unwrap()
    }

    fn accepted() -> Value {
        json!({"status": {"parents": [{"conditions": [{"type": "Accepted", "status": "True"}]}]}})
    }

    #[test]
    fn address_and_tls_port_come_from_the_gateway() {
        let gateway = gateway(&json!({"addresses": [{"type": "IPAddress", "value": "192.0.2.1"}]}));
        let state = state("Gateway a/g".into(), &accepted(), Some(&gateway));
        assert_eq!(
            (state.addresses, state.port),
            (vec!["192.0.2.1".to_owned()], 8443)
        );
        assert_eq!(state.problems, Vec::<String>::new());
    }

    #[test]
    fn what_the_controller_complains_about_is_passed_on() {
        let gateway = gateway(&json!({"listeners": [{"name": "s", "conditions": [
            {"type": "ResolvedRefs", "status": "False", "message": "no such Secret"}]}]}));
        let route = json!({"status": {"parents": []}});
        let state = state("Gateway a/g".into(), &route, Some(&gateway));
        assert_eq!(
            state.problems,
            [
                "listener s is not ResolvedRefs: no such Secret",
                "no controller has taken the HTTPRoute up"
            ]
        );
    }

    #[test]
    fn a_route_to_a_gateway_that_is_gone_is_a_problem() {
        let state = state("Gateway a/g".into(), &accepted(), None);
        assert_eq!(state.problems, ["Gateway a/g does not exist"]);
    }
}
