//! Certificates and CAs of other issuers: used, told apart from ours, and left alone.

use super::*;

/// As `certs import` leaves it: our CA and the bundle are still there.
#[test]
fn behind_a_certificate_from_elsewhere_clients_need_its_ca_and_not_ours() {
    let domains = domains(&["a.example.com"]);
    let (_, installed) = install(&Existing::default(), &domains, None, NOW);
    assert_eq!(client_roots(&installed), installed.ca_bundle.as_deref());
    let elsewhere = Issuer::new(&domains);
    for ca in [Some(elsewhere.authority.certificate_pem()), Some(""), None] {
        let mut after = installed.clone();
        after
            .secrets
            .insert(names::TLS_SECRET.into(), elsewhere.served(&domains, ca));
        let plan = plan(&after, &domains, None, NOW).unwrap();
        assert_eq!(plan.decision(SecretKind::ServingCertificate), &Decision::Foreign);
        // Ours rests until it is wanted again; it stays on the list of what to remove.
        assert!(plan.owned().contains(names::CA_SECRET) && plan.owns_bundle());
        let made = make(&plan, &after, &domains, None, NOW).unwrap();
        assert!(made.objects.is_empty());
        let needed = ca.filter(|ca| !ca.is_empty());
        assert_eq!(client_roots(&after), needed);
        assert_eq!(made.client_roots, needed.unwrap_or_default());
    }
}

/// A CA of another issuer, and how cert-manager keeps what it signs.
struct Issuer {
    authority: Authority,
}

impl Issuer {
    fn new(domains: &[Domain]) -> Self {
        let (domains, permitted) = permitted_names(domains);
        Self {
            authority: Authority::create(&AuthorityRequest::new(domains, permitted), NOW).unwrap(),
        }
    }

    /// A served certificate without our label.
    fn served(&self, domains: &[Domain], ca: Option<&str>) -> Secret {
        let request = LeafRequest::new(served_names(domains));
        let leaf = self.authority.issue(&request, NOW).unwrap();
        let mut secret = leaf_secret(&leaf, &self.authority);
        secret.metadata.labels = None;
        let data = secret.data.as_mut().unwrap();
        match ca {
            Some(ca) => data.insert(CA_CERTIFICATE.into(), ByteString(ca.as_bytes().to_vec())),
            None => data.remove(CA_CERTIFICATE),
        };
        secret
    }

    /// The CA as cert-manager keeps it by default: the key in SEC1 form.
    fn kept(&self) -> Secret {
        let mut secret = authority_secret(&self.authority);
        secret.metadata.labels = None;
        by_cert_manager(&mut secret, "selfsigned-ca");
        let sec1 = pem_of(
            "EC PRIVATE KEY",
            &sec1_of_pkcs8(self.authority.key_pem().expose()),
        );
        let data = secret.data.as_mut().unwrap();
        data.insert(PRIVATE_KEY.into(), ByteString(sec1.into_bytes()));
        secret
    }
}

fn by_cert_manager(secret: &mut Secret, certificate: &str) {
    let mark = (
        labels::CERT_MANAGER_CERTIFICATE.to_owned(),
        certificate.to_owned(),
    );
    secret.metadata.annotations = Some(BTreeMap::from([mark]));
}

fn pem_of(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// What is inside of a PKCS#8 key on P-256: the octet string behind version and algorithm.
fn sec1_of_pkcs8(pem: &str) -> Vec<u8> {
    use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let der = der.secret_pkcs8_der();
    // SEQUENCE of two bytes of header or three, INTEGER of 3, AlgorithmIdentifier of 21.
    let body = if der[1] < 0x80 { 2 } else { 3 };
    let octets = &der[body + 3 + 21..];
    assert_eq!(octets[0], 4);
    octets[2..].to_vec()
}

/// The CA and the served certificate are both cert-manager's.
#[test]
fn what_cert_manager_keeps_is_used_and_left_to_it() {
    let domains = domains(&["a.example.com"]);
    let issuer = Issuer::new(&domains);
    let mut existing = Existing::default();
    existing.secrets.insert(names::CA_SECRET.into(), issuer.kept());
    let root = issuer.authority.certificate_pem();
    let mut served = issuer.served(&domains, Some(root));
    by_cert_manager(&mut served, "sandbox-manager-ingress-cert");
    existing.secrets.insert(names::TLS_SECRET.into(), served);
    let (plan, after) = install(&existing, &domains, None, NOW);
    for name in [names::CA_SECRET, names::TLS_SECRET] {
        assert!(plan.is_foreign(name) && !plan.owned().contains(name), "{name}");
        assert!(
            after.secrets[name] == existing.secrets[name],
            "{name} was written"
        );
    }
    assert!(!plan.owns_bundle() && after.ca_bundle.is_none());
    assert_eq!(client_roots(&after), Some(root));
    let (again, _) = install(&after, &domains, None, NOW + Duration::days(61));
    assert!(!again.writes());
    // Even when nobody could load its key, which is cert-manager's alone.
    let mut sealed = after.clone();
    let ca = sealed.secrets.get_mut(names::CA_SECRET).unwrap();
    ca.data
        .as_mut()
        .unwrap()
        .insert(PRIVATE_KEY.into(), ByteString(b"sealed".to_vec()));
    let (plan, _) = install(&sealed, &domains, None, NOW);
    assert!(plan.is_foreign(names::CA_SECRET));
}

/// A Certificate that was put over a Secret of ours leaves our label in place.
#[test]
fn a_certificate_of_cert_managers_over_ours_is_not_overwritten() {
    let domains = domains(&["a.example.com"]);
    let (_, mut existing) = install(&Existing::default(), &domains, None, NOW);
    let issuer = Issuer::new(&domains);
    let mut served = issuer.served(&domains, Some(issuer.authority.certificate_pem()));
    served.metadata.labels = Some(labels::product());
    by_cert_manager(&mut served, "sandbox-manager-ingress-cert");
    assert!(!crate::secrets::is_ours(&served));
    existing.secrets.insert(names::TLS_SECRET.into(), served);
    let (plan, after) = install(&existing, &domains, None, NOW);
    assert!(!plan.writes());
    assert!(after.secrets == existing.secrets);
    assert_eq!(client_roots(&after), Some(issuer.authority.certificate_pem()));
}

/// cert-manager's CA alone: it signs our certificate, and is never replaced or removed.
#[test]
fn a_ca_of_cert_managers_signs_and_stays_its_own() {
    let domains = domains(&["a.example.com"]);
    let issuer = Issuer::new(&domains);
    let mut existing = Existing::default();
    existing.secrets.insert(names::CA_SECRET.into(), issuer.kept());
    let (plan, after) = install(&existing, &domains, None, NOW);
    assert!(plan.is_foreign(names::CA_SECRET) && plan.owns_bundle());
    assert!(plan.owned().contains(names::TLS_SECRET));
    let chain = text(&after, names::TLS_SECRET, CERTIFICATE).unwrap();
    let root = issuer.authority.certificate_pem();
    silica_certs::verify::chain(chain, root, "api.a.example.com", NOW).unwrap();
    assert_eq!(after.ca_bundle.as_deref(), Some(root));
    for (domain, now) in [
        ("b.example.org", NOW),
        ("a.example.com", NOW + Duration::days(4000)),
    ] {
        let refused = crate::secrets::plan(&after, &super::domains(&[domain]), None, now);
        assert!(matches!(
            refused,
            Err(Error::Unusable {
                name: names::CA_SECRET,
                ..
            })
        ));
    }
}
