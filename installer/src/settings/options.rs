//! The values as options of the objects. Pure.

use silica_api::{ports, types::Domain};
use silica_manifests::{Authentication, Compute, Images, IngressOptions, Options, TemplateOptions};

use super::{
    Error, letters,
    resolve::Resolved,
    toleration::tolerations,
    values::{self, Exposure, Values},
    way_in,
};

/// Everything but the image references, which depend on the delivery.
pub(super) fn options(values: &Values, resolved: &Resolved) -> Result<Options, Error> {
    let domains = domains(values, resolved)?;
    let first = domains.first().cloned().ok_or(Error::NoDomain)?;
    let no_images = Images {
        manager: String::new(),
        runtime: String::new(),
    };
    let mut options = Options::new(first, no_images);
    options.domains = domains;
    options.manager_replicas = values.sandbox_manager.replica_count;
    options.controller_replicas = values.controller.replica_count;
    options.log_level = values.controller.log_level;
    let (requests, limits) = (
        &values.controller.resources.requests,
        &values.controller.resources.limits,
    );
    options.controller_compute = Compute {
        cpu: requests.cpu.0.clone(),
        memory: requests.memory.0.clone(),
        cpu_limit: limits.cpu.clone().map(|limit| limit.0),
        memory_limit: limits.memory.clone().map(|limit| limit.0),
    };
    let (requests, limits) = (&values.proxy.resources.requests, &values.proxy.resources.limits);
    options.manager_compute = Compute {
        cpu: requests.cpu.0.clone(),
        memory: requests.memory.0.clone(),
        cpu_limit: limits.cpu.clone().map(|limit| limit.0),
        memory_limit: limits.memory.clone().map(|limit| limit.0),
    };
    if !values.e2b.enable_auth {
        options.authentication = Authentication::Off;
    }
    options.node_selector.clone_from(&values.node_selector);
    options.tolerations = tolerations(&values.tolerations, resolved)?;
    options.image_pull_secret.clone_from(&values.images.pull_secret);
    if values.expose.contains(&Exposure::Ingress) {
        options.ingress = Some(IngressOptions {
            class: values.ingress.class_name.clone(),
            annotations: values.ingress.annotations.clone(),
        });
    }
    if values.expose.contains(&Exposure::Direct) {
        options.direct = Some(way_in::direct(&values.service));
    }
    if values.expose.contains(&Exposure::Gateway) {
        options.gateway = Some(way_in::gateway(&values.gateway, resolved)?);
    }
    if values.templates.enabled {
        options.templates = Some(templates(&values.templates, resolved)?);
    }
    Ok(options)
}

fn domains(values: &Values, resolved: &Resolved) -> Result<Vec<Domain>, Error> {
    let origin = || resolved.origin("e2b.domain").clone();
    let mut domains = Vec::new();
    for text in &values.e2b.domain {
        let domain = letters::domain(text, origin)?;
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

fn templates(templates: &values::Templates, resolved: &Resolved) -> Result<TemplateOptions, Error> {
    let namespace = templates.namespace.parse();
    Ok(TemplateOptions {
        namespace: namespace.map_err(|source| Error::Name {
            what: "template namespace",
            origin: resolved.origin("templates.namespace").clone(),
            source,
        })?,
        replicas: templates.replicas,
        // Checked by the conflicts: templates need this image.
        base_image: templates.images.base.clone().unwrap_or_default(),
        code_interpreter_image: templates.images.code_interpreter.clone(),
        interpreter: ports::INTERPRETER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::merge;

    #[test]
    fn the_documented_parameters_are_all_understood() {
        let yaml = "
sandboxManager: {replicaCount: 1}
e2b: {domain: 'a.example.com,b.example.com', enableAuth: false, adminApiKey: admin-987654321}
controller: {logLevel: 1, resources: {requests: {cpu: '2', memory: 4Gi}, limits: {cpu: 4}}}
proxy: {resources: {requests: {cpu: 2, memory: 4Gi}, limits: {memory: 8Gi}}}
ingress: {className: alb}
";
        let settings = merge(&[], yaml).unwrap();
        assert_eq!(settings.options.domains.len(), 2);
        assert_eq!(settings.options.authentication, Authentication::Off);
        assert_eq!(settings.admin_key.unwrap().reveal(), "admin-987654321");
        assert_eq!(settings.options.controller_compute.memory, "4Gi");
        assert_eq!(
            settings.options.controller_compute.cpu_limit.as_deref(),
            Some("4")
        );
        assert_eq!(settings.options.manager_compute.cpu, "2");
        assert_eq!(
            settings.options.manager_compute.memory_limit.as_deref(),
            Some("8Gi")
        );
        assert_eq!(settings.options.ingress.unwrap().class.as_deref(), Some("alb"));
    }

    #[test]
    fn a_domain_in_other_letters_becomes_what_dns_knows() {
        let settings = merge(&["--domain", "Bücher.example"], "").unwrap();
        assert_eq!(settings.options.domains[0].as_str(), "xn--bcher-kva.example");
        let twice = merge(&["-d", "bücher.example,xn--bcher-kva.example"], "").unwrap();
        assert_eq!(twice.options.domains.len(), 1);
        assert!(matches!(
            merge(&["--domain", "a\u{fffd}b.example"], ""),
            Err(Error::Letters { .. })
        ));
    }
}
