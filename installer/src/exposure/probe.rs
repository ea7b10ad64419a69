//! What a server shows to clients that ask for a host by SNI: its certificate
//! chain, and whether those clients would accept it.

use std::{fmt, sync::LazyLock};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use silica_certs::{
    inspect::{self, Inspected},
    pem, verify,
};
use time::OffsetDateTime;

use crate::exposure::https::{self, Error};

/// Certificates that ingress controllers serve when they have none for a host,
/// told apart by their common name: (common name, who serves it).
const STAND_INS: [(&str, &str); 2] = [
    ("Kubernetes Ingress Controller Fake Certificate", "ingress-nginx"),
    ("TRAEFIK DEFAULT CERT", "Traefik"),
];
/// Length of a label that nobody has a record or a certificate of its own for.
const RANDOM_LABEL: usize = 10;

/// Whom clients trust.
#[derive(Clone, Debug)]
pub struct Roots {
    pem: String,
}

impl Roots {
    /// What clients of an installation trust: its bundle, or the CAs of this
    /// machine when the bundle is empty because somebody else issues the
    /// certificate.
    pub fn of_bundle(pem: &str) -> Self {
        if pem.trim().is_empty() {
            Self::of_system()
        } else {
            Self { pem: pem.to_owned() }
        }
    }

    /// The CAs of this machine, read once.
    pub fn of_system() -> Self {
        static PEM: LazyLock<String> = LazyLock::new(|| {
            let usable = |certificate: &CertificateDer<'static>| {
                RootCertStore::empty().add(certificate.clone()).is_ok()
            };
            let found = rustls_native_certs::load_native_certs().certs;
            found
                .iter()
                .filter(|one| usable(one))
                .map(|one| pem::encode_certificate(one))
                .collect()
        });
        Self { pem: PEM.clone() }
    }
}

/// What a server showed for a host.
#[derive(Debug)]
pub struct Served {
    /// The host that was asked for.
    pub host: String,
    /// The chain as it was sent, the server's own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the first certificate says, when it can be read.
    pub leaf: Option<Inspected>,
    /// Whether clients accept the chain for the host.
    pub verdict: Verdict,
}

impl Served {
    /// Whether the server's own certificate has this fingerprint, in lower-case hex.
    pub fn is(&self, fingerprint: &str) -> bool {
        self.leaf
            .as_ref()
            .is_some_and(|leaf| leaf.fingerprint == fingerprint)
    }
}

/// Whether clients accept what a server showed.
#[derive(Debug)]
pub enum Verdict {
    /// They do.
    Trusted,
    /// A stand-in of an ingress controller, which has found no certificate for
    /// the host. Every client refuses it.
    StandIn {
        /// Whose.
        of: &'static str,
    },
    /// They refuse it.
    Refused(verify::Error),
}

impl Verdict {
    /// Stable name for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::StandIn { .. } => "stand-in",
            Self::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => f.write_str("clients accept it"),
            Self::StandIn { of } => {
                write!(
                    f,
                    "it is the stand-in that {of} serves for hosts without a certificate"
                )
            }
            Self::Refused(why) => why.fmt(f),
        }
    }
}

/// Connects to an address (IP or name), asks for a host by SNI, and judges what
/// comes. Needs no cluster. An error means that no certificate was seen at all.
pub async fn probe(address: &str, port: u16, sni: &str, roots: &Roots) -> Result<Served, Error> {
    let chain = https::served_chain(sni, address, port).await?;
    Ok(judge(sni, chain, roots, OffsetDateTime::now_utc()))
}

/// Judges a chain as clients that ask for the host do.
pub fn judge(host: &str, chain: Vec<CertificateDer<'static>>, roots: &Roots, now: OffsetDateTime) -> Served {
    let leaf = chain.first().and_then(|first| inspect::parse_der(first).ok());
    let text: String = chain.iter().map(|one| pem::encode_certificate(one)).collect();
    let verdict = match leaf.as_ref().and_then(stand_in) {
        Some(of) => Verdict::StandIn { of },
        None => match verify::chain(&text, &roots.pem, host, now) {
            Ok(()) => Verdict::Trusted,
            Err(why) => Verdict::Refused(why),
        },
    };
    Served {
        host: host.to_owned(),
        chain,
        leaf,
        verdict,
    }
}

fn stand_in(leaf: &Inspected) -> Option<&'static str> {
    STAND_INS
        .into_iter()
        .find(|(name, _)| leaf.subject.contains(name))
        .map(|(_, of)| of)
}

/// The hosts that stand for a domain: itself, its API, and a sandbox, whose name
/// only a wildcard can cover.
pub fn hosts(domain: &str) -> [String; 3] {
    [
        domain.to_owned(),
        format!("api.{domain}"),
        format!("{}.{domain}", random_label()),
    ]
}

fn random_label() -> String {
    (0..RANDOM_LABEL)
        .map(|_| char::from(rand::random_range(b'a'..=b'z')))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::ServerConfig;
    use silica_certs::{
        authority::{Authority, AuthorityRequest},
        leaf::{Leaf, LeafRequest},
    };
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Made by `openssl req -x509` with the subject that ingress-nginx uses.
    const FAKE: &str = "\
-----BEGIN CERTIFICATE-----
MIICBTCCAaugAwIBAgIUauy0HzWGrtP/8t8Lp99j+ewniZowCgYIKoZIzj0EAwIw
SzEQMA4GA1UECgwHQWNtZSBDbzE3MDUGA1UEAwwuS3ViZXJuZXRlcyBJbmdyZXNz
IENvbnRyb2xsZXIgRmFrZSBDZXJ0aWZpY2F0ZTAeFw0yNjExMjQwMDAwMDdaFw0z
NjExMjEwMDAwMDdaMEsxEDAOBgNVBAoMB0FjbWUgQ28xNzA1BgNVBAMMLkt1YmVy
bmV0ZXMgSW5ncmVzcyBDb250cm9sbGVyIEZha2UgQ2VydGlmaWNhdGUwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAATYq1QPPG4EHVBrGBshvWe3doEN5Ap3YEyAKUrr
xY0qhXYKdtJMw+jWKVr/YfpowbGD6vTMsgl23dM6kisHqX8+o20wazAdBgNVHQ4E
FgQU2u8bIpDWGgPiQ1YqLsMP6nvzPv4wHwYDVR0jBBgwFoAU2u8bIpDWGgPiQ1Yq
LsMP6nvzPv4wDwYDVR0TAQH/BAUwAwEB/zAYBgNVHREEETAPgg1pbmdyZXNzLmxv
Y2FsMAoGCCqGSM49BAMCA0gAMEUCIQD2BKxsSDp74nfEd/mzggY5CZu+3cktb49S
o2tYhVNqEwIgQSHsvR3kkmAvFuPHwiZjtiLOZ6ZGbAQ/Nimmfh+rnMA=
-----END CERTIFICATE-----
";

    fn authority() -> Authority {
        let names = vec!["a.example".to_owned()];
        Authority::create(
            &AuthorityRequest::new(names.clone(), names),
            OffsetDateTime::now_utc(),
        )
        .unwrap()
    }

    fn leaf(authority: &Authority, names: &[&str]) -> Leaf {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        authority
            .issue(&LeafRequest::new(names), OffsetDateTime::now_utc())
            .unwrap()
    }

    /// A TLS server on loopback that answers every host with this certificate.
    async fn serve(leaf: &Leaf) -> u16 {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain = pem::certificates(leaf.chain_pem()).unwrap();
        let key = pem::private_key(leaf.key_pem().expose()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key.clone_key())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(acceptor.accept(stream).await);
            }
        });
        port
    }

    #[tokio::test]
    async fn a_certificate_is_judged_for_each_host_that_is_asked_for() {
        let authority = authority();
        let leaf = leaf(&authority, &["a.example", "*.a.example"]);
        let port = serve(&leaf).await;
        let roots = Roots::of_bundle(authority.certificate_pem());
        let fingerprint = inspect::parse_chain(leaf.chain_pem()).unwrap()[0]
            .fingerprint
            .clone();
        for host in hosts("a.example") {
            let served = probe("127.0.0.1", port, &host, &roots).await.unwrap();
            assert!(
                matches!(served.verdict, Verdict::Trusted),
                "{host}: {}",
                served.verdict
            );
            assert!(served.is(&fingerprint));
        }
        let other = probe("127.0.0.1", port, "b.example", &roots).await.unwrap();
        assert!(matches!(
            other.verdict,
            Verdict::Refused(verify::Error::NameMismatch { .. })
        ));
    }

    #[test]
    fn a_certificate_of_another_authority_is_refused() {
        let chain = pem::certificates(leaf(&authority(), &["a.example"]).chain_pem()).unwrap();
        let roots = Roots::of_bundle(authority().certificate_pem());
        let served = judge("a.example", chain, &roots, OffsetDateTime::now_utc());
        assert!(matches!(served.verdict, Verdict::Refused(_)));
    }

    #[test]
    fn the_stand_in_of_an_ingress_controller_is_named() {
        let roots = Roots::of_bundle(authority().certificate_pem());
        let chain = pem::certificates(FAKE).unwrap();
        let served = judge("a.example", chain, &roots, OffsetDateTime::now_utc());
        assert!(
            served.verdict.to_string().contains("ingress-nginx"),
            "{}",
            served.verdict
        );
    }

    #[tokio::test]
    async fn a_closed_port_shows_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = probe("127.0.0.1", port, "a.example", &Roots::of_system())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }
}
