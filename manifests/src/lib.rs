//! The Kubernetes objects of an installation, as typed data.
//!
//! [`objects`] turns [`Options`] into a bag of objects ordered by [`Phase`].
//! `silica install` applies that bag; the files under `yaml/` are the same bag
//! with example options, written by the `generate` binary and never edited.
//!
//! Nothing here talks to a cluster, reads a file or holds a secret: Secrets
//! appear as a [`SecretRequest`] only, and whoever applies the bag fulfils it.

mod bag;
mod carried;
mod crds;
mod executables;
mod exposure;
pub mod gateway;
mod namespace;
mod options;
mod rbac;
mod secrets;
mod templates;
mod workload;
mod yaml;

pub use bag::{Object, Objects, Phase};
pub use executables::{Carried, Packed};
pub use options::{
    Authentication, Compute, DirectService, GatewayOptions, HostPorts, Images, IngressOptions, LoadBalancer,
    NodePorts, Options, ServiceType, TemplateOptions, TrafficPolicy,
};
pub use secrets::{SecretKind, SecretRequest, requests as secret_requests};
pub use yaml::{Error as YamlError, REFRESH_COMMAND, document, documents, generated};

/// Every object of an installation, in the order in which it is applied.
pub fn objects(options: &Options) -> Objects {
    let mut bag = Objects::default();
    bag.add(Phase::Namespace, [Object::of(&namespace::namespace(options))]);
    bag.add(Phase::Crds, crds::definitions().iter().map(Object::of));
    rbac::add(&mut bag);
    carried::add(&mut bag, options);
    workload::add(&mut bag, options);
    exposure::add(&mut bag, options);
    templates::add(&mut bag, options);
    bag
}
