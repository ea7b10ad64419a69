//! Certificates of a Silica installation: a private CA whose reach is limited
//! to its domains, server certificates, and the judgement of existing ones.
//!
//! Nothing here knows Kubernetes or reads a clock: the time is always a
//! parameter, so every decision can be tested at any moment of a
//! certificate's life. Only [`files`] touches the disk.
//!
//! - [`authority`] makes or loads a CA, [`leaf`] describes what it issues, [`key`] for which key
//! - [`names`] says which names a server certificate carries
//! - [`inspect`] reads certificates, [`decide`] compares them with what is wanted
//! - [`verify`] asks the verifier that TLS clients use
//! - [`request`] asks another CA to sign, [`import`] judges certificates that somebody else issued
//! - [`rotation`] decides on the next step of a CA's replacement
//! - [`bundle`] merges trust bundles, [`pem`] and [`secret`] hold the text forms

pub mod authority;
pub mod bundle;
pub mod decide;
mod distinguished_name;
#[cfg(feature = "encrypted")]
mod encrypted;
pub mod files;
pub mod import;
pub mod inspect;
pub mod key;
pub mod leaf;
pub mod names;
pub mod pem;
mod pkcs8_form;
mod profile;
pub mod request;
pub mod rotation;
pub mod secret;
pub mod verify;
mod whole_text;

pub use profile::{
    AUTHORITY_VALIDITY, LEAF_VALIDITY, LEAF_VALIDITY_MAX, LEAF_VALIDITY_NOTICE, NOT_BEFORE_MARGIN,
};
pub use whole_text::whole_text;
