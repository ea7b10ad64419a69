//! The way to the DNS service of the cluster, so that verify-dns sees what pods
//! see without starting one.

use std::time::Duration;

use k8s_openapi::{
    api::{
        core::v1::{Pod, Service, ServicePort},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{Api, ResourceExt, api::ListParams};
use silica_dns::{ClusterDns, Connecting, Connection};
use tokio::{net::TcpStream, time::timeout};

use crate::cluster::{Cluster, is_ready, reason};

/// Where distributions keep it: all but OpenShift under the name of kubeadm.
const SERVICES: [(&str, &str); 3] = [
    ("kube-system", "kube-dns"),
    ("openshift-dns", "dns-default"),
    ("kube-system", "coredns"),
];
const PORT: i32 = 53;
/// How long a connection without the API server may take: it works only from
/// machines with a route into the cluster.
const DIRECT: Duration = Duration::from_millis(700);

/// The DNS service of a cluster.
pub struct ServiceDns {
    cluster: Cluster,
}

impl ServiceDns {
    /// Nothing is sent yet.
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
        }
    }

    async fn find(&self) -> Result<(Service, ServicePort), String> {
        for (namespace, name) in SERVICES {
            let api: Api<Service> = Api::namespaced(self.cluster.client.clone(), namespace);
            let found = api.get_opt(name).await;
            let service = found
                .map_err(|error| format!("Service {namespace}/{name} cannot be read: {}", reason(&error)))?;
            if let Some(service) = service {
                let port =
                    tcp_port(&service).ok_or(format!("Service {namespace}/{name} has no TCP port {PORT}"))?;
                return Ok((service, port));
            }
        }
        let (namespace, name) = SERVICES[0];
        Err(format!("the cluster has no Service {namespace}/{name}"))
    }

    /// Through the API server to a pod behind the Service, which needs no network
    /// between here and the pods.
    async fn forward(&self, service: &Service, port: &ServicePort) -> Result<Connection, String> {
        let namespace = service.namespace().unwrap_or_default();
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone());
        let selector = selector
            .filter(|selector| !selector.is_empty())
            .ok_or("the Service selects no pods")?;
        let labels: Vec<String> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &namespace);
        let pods = api
            .list(&ListParams::default().labels(&labels.join(",")))
            .await
            .map_err(|error| format!("its pods cannot be listed: {}", reason(&error)))?;
        let pod = pods
            .items
            .into_iter()
            .find(is_ready)
            .ok_or("none of its pods is ready")?;
        let name = pod.name_any();
        let number = target_port(&pod, port).ok_or(format!("pod {name} has no port for it"))?;
        let failed = |why: String| format!("port {number} of pod {name} cannot be forwarded: {why}");
        let mut forwarder = api
            .portforward(&name, &[number])
            .await
            .map_err(|error| failed(reason(&error)))?;
        let stream = forwarder
            .take_stream(number)
            .ok_or_else(|| failed("no stream".into()))?;
        Ok(Connection {
            source: format!("pod {namespace}/{name}"),
            stream: Box::new(stream),
        })
    }

    /// Straight to the addresses of the Service, as on a node.
    async fn dial(&self, service: &Service) -> Option<Connection> {
        let namespace = service.namespace().unwrap_or_default();
        let mut addresses: Vec<String> = Vec::new();
        addresses.extend(service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone()));
        let slices: Api<EndpointSlice> = Api::namespaced(self.cluster.client.clone(), &namespace);
        let of_service =
            ListParams::default().labels(&format!("kubernetes.io/service-name={}", service.name_any()));
        let mut targets: Vec<(String, u16)> = addresses
            .into_iter()
            .filter_map(|address| Some((address, u16::try_from(PORT).ok()?)))
            .collect();
        for slice in slices.list(&of_service).await.ok()? {
            let ports = slice.ports.into_iter().flatten();
            let port = ports
                .filter(|port| port.protocol.as_deref() == Some("TCP"))
                .find_map(|port| u16::try_from(port.port?).ok());
            let first = slice
                .endpoints
                .into_iter()
                .flat_map(|endpoint| endpoint.addresses)
                .next();
            targets.extend(first.zip(port));
        }
        for (address, port) in targets {
            let connected = timeout(DIRECT, TcpStream::connect((address.as_str(), port))).await;
            if let Ok(Ok(stream)) = connected {
                return Some(Connection {
                    source: format!("Service {namespace}/{} at {address}", service.name_any()),
                    stream: Box::new(stream),
                });
            }
        }
        None
    }
}

impl ClusterDns for ServiceDns {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            let (service, port) = self.find().await?;
            match self.forward(&service, &port).await {
                Ok(connection) => Ok(connection),
                Err(why) => self.dial(&service).await.ok_or(format!(
                    "Service {}/{}: {why}",
                    service.namespace().unwrap_or_default(),
                    service.name_any()
                )),
            }
        })
    }
}

fn tcp_port(service: &Service) -> Option<ServicePort> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    ports
        .iter()
        // Absent means TCP.
        .find(|port| port.port == PORT && port.protocol.as_deref().unwrap_or("TCP") == "TCP")
        .cloned()
}

/// The number behind a Service's port, which may be a name that each pod gives to
/// a port of its own.
fn target_port(pod: &Pod, port: &ServicePort) -> Option<u16> {
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            let containers = &pod.spec.as_ref()?.containers;
            let ports = containers
                .iter()
                .flat_map(|container| container.ports.iter().flatten());
            ports
                .into_iter()
                .find(|one| one.name.as_deref() == Some(name))?
                .container_port
        }
    };
    u16::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(ports: &serde_json::Value) -> Service {
        serde_json::from_value(json!({"spec": {"ports": ports}})).unwrap()
    }

    #[test]
    fn the_port_for_tcp_is_taken_by_number_or_name() {
        let service = service(&json!([
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp"},
            {"name": "metrics", "port": 9153},
        ]));
        let port = tcp_port(&service).unwrap();
        let pod = |ports: &serde_json::Value| -> Pod {
            serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "ports": ports}]}})).unwrap()
        };
        let named = pod(&json!([{"name": "dns-tcp", "containerPort": 5353, "protocol": "TCP"}]));
        assert_eq!(target_port(&named, &port), Some(5353));
        assert_eq!(target_port(&pod(&json!([])), &port), None);
        let plain = ServicePort {
            target_port: None,
            ..port
        };
        assert_eq!(target_port(&pod(&json!([])), &plain), Some(53));
    }

    #[test]
    fn a_service_without_tcp_is_of_no_use() {
        assert!(tcp_port(&service(&json!([{"port": 53, "protocol": "UDP"}]))).is_none());
    }
}
