//! Facts about Silica's Kubernetes objects, each declared once: names, labels,
//! ports, the installation's lock, and the custom resource types.
//!
//! This crate holds data and parsing only. It never talks to a cluster, never
//! reads a clock, and depends on no other crate of the workspace.

pub mod carried;
pub mod crd;
pub mod labels;
pub mod lock;
pub mod names;
pub mod ports;
pub mod types;
