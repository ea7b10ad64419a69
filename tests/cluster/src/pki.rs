//! Certificates and keys of the cluster: one CA, one front-proxy CA, one key for tokens.
//!
//! They live as long as the cluster does, on this machine only, so their dates are fixed
//! and generous. Names follow the Kubernetes PKI requirements ("PKI certificates and
//! requirements"): a client's organisation is its group, its common name its user.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::layout::{KUBERNETES_SERVICE_ADDRESS, Layout, NODE_ADDRESS, NODE_NAME};

/// A group that may do everything.
const MASTERS: &str = "system:masters";

/// The clients that get a certificate: (name of the files, organisation, common name).
pub(crate) const CLIENTS: &[(&str, Option<&str>, &str)] = &[
    ("admin", Some(MASTERS), "silica-admin"),
    (
        "apiserver-kubelet-client",
        Some(MASTERS),
        "kube-apiserver-kubelet-client",
    ),
    ("controller-manager", None, "system:kube-controller-manager"),
    ("coredns", Some(MASTERS), "silica-coredns"),
    ("kubelet", Some("system:nodes"), "system:node:silica-node"),
    ("proxy", None, "system:kube-proxy"),
    ("scheduler", None, "system:kube-scheduler"),
];

/// Writes every certificate and key below [`Layout::pki`]: `<name>.crt` and `<name>.key`,
/// `service-account.key` and `service-account.pub`.
pub(crate) fn write(layout: &Layout) -> Result<()> {
    let directory = layout.pki();
    fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
    let ca = authority("silica-ca")?;
    store(&directory, "ca", &ca.pem(), ca.key())?;
    for (name, organisation, common_name) in CLIENTS {
        issue(&directory, &ca, name, *organisation, common_name, None)?;
    }
    let apiserver = Names {
        dns: &[
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
        addresses: &[
            NODE_ADDRESS.into(),
            KUBERNETES_SERVICE_ADDRESS.into(),
            IpAddr::from([127, 0, 0, 1]),
        ],
    };
    issue(
        &directory,
        &ca,
        "apiserver",
        None,
        "kube-apiserver",
        Some(&apiserver),
    )?;
    let kubelet = Names {
        dns: &[NODE_NAME],
        addresses: &[NODE_ADDRESS.into()],
    };
    issue(&directory, &ca, "kubelet-server", None, NODE_NAME, Some(&kubelet))?;

    let front_proxy = authority("silica-front-proxy-ca")?;
    store(
        &directory,
        "front-proxy-ca",
        &front_proxy.pem(),
        front_proxy.key(),
    )?;
    issue(
        &directory,
        &front_proxy,
        "front-proxy-client",
        None,
        "front-proxy-client",
        None,
    )?;

    let tokens = KeyPair::generate().context("failed to generate the service account key")?;
    write_private(&directory.join("service-account.key"), &tokens.serialize_pem())?;
    write_private(&directory.join("service-account.pub"), &tokens.public_key_pem())
}

/// Paths of a certificate and its key.
pub(crate) fn files(layout: &Layout, name: &str) -> (PathBuf, PathBuf) {
    let pki = layout.pki();
    (pki.join(format!("{name}.crt")), pki.join(format!("{name}.key")))
}

/// What a serving certificate is valid for.
struct Names<'a> {
    dns: &'a [&'a str],
    addresses: &'a [IpAddr],
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Result<Authority> {
    let mut params = params(None, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate().with_context(|| format!("failed to generate the key of {name}"))?;
    CertifiedIssuer::self_signed(params, key).with_context(|| format!("failed to sign {name}"))
}

fn issue(
    directory: &Path,
    ca: &Authority,
    file: &str,
    organisation: Option<&str>,
    common_name: &str,
    serves: Option<&Names<'_>>,
) -> Result<()> {
    let mut params = params(organisation, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = match serves {
        Some(_) => vec![ExtendedKeyUsagePurpose::ServerAuth],
        None => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    if let Some(names) = serves {
        for name in names.dns {
            let name = (*name)
                .try_into()
                .with_context(|| format!("failed to use the name {name}"))?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params
            .subject_alt_names
            .extend(names.addresses.iter().copied().map(SanType::IpAddress));
    }
    let key = KeyPair::generate().with_context(|| format!("failed to generate the key of {file}"))?;
    let certificate = params
        .signed_by(&key, ca)
        .with_context(|| format!("failed to sign {file}"))?;
    store(directory, file, &certificate.pem(), &key)
}

fn params(organisation: Option<&str>, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2124, 1, 1);
    let mut name = DistinguishedName::new();
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    params
}

fn store(directory: &Path, name: &str, certificate: &str, key: &KeyPair) -> Result<()> {
    let path = directory.join(format!("{name}.crt"));
    fs::write(&path, certificate).with_context(|| format!("failed to write {}", path.display()))?;
    write_private(&directory.join(format!("{name}.key")), &key.serialize_pem())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}
