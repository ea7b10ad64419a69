//! Certificates that no part of the product would make.

use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm,
};
use time::{Duration, OffsetDateTime};

/// What a server sends, and its key.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Served {
    /// The same with further certificates behind.
    pub(crate) fn followed_by(&self, more: &str) -> Self {
        Self {
            chain: format!("{}{more}", self.chain),
            key: self.key.clone(),
        }
    }
}

/// A CA with whatever its parameters say.
pub(crate) struct Root {
    pub(crate) pem: String,
    parameters: CertificateParams,
    issuer: Issuer<'static, KeyPair>,
    public: Vec<u8>,
}

/// What can be wrong with a certificate: a change of good parameters.
pub(crate) type Change = fn(&mut CertificateParams);

/// A good certificate as it is.
pub(crate) const AS_IS: Change = |_| ();

fn usual(common_name: &str) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut parameters = CertificateParams::default();
    parameters.not_before = now - Duration::HOUR;
    parameters.not_after = now + Duration::days(90);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    if !common_name.is_empty() {
        parameters
            .distinguished_name
            .push(DnType::CommonName, common_name);
    }
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

impl Root {
    /// A root of this name.
    pub(crate) fn new(common_name: &str, change: Change) -> Self {
        Self::with_key(common_name, &PKCS_ECDSA_P256_SHA256, change)
    }

    /// A CA that this one has signed.
    pub(crate) fn below(&self, common_name: &str, change: Change) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = usual(common_name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut parameters);
        let pem = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        let public = rcgen::PublicKeyData::subject_public_key_info(&key);
        Self {
            pem,
            parameters: parameters.clone(),
            issuer: Issuer::new(parameters, key),
            public,
        }
    }

    /// The same key, and other parameters than its certificate has.
    pub(crate) fn posing(mut self, change: Change) -> Self {
        change(&mut self.parameters);
        let key = KeyPair::from_pem(&self.issuer.key().serialize_pem()).unwrap();
        self.issuer = Issuer::new(self.parameters.clone(), key);
        self
    }

    /// A root with an Ed25519 key.
    pub(crate) fn ed25519() -> Self {
        Self::with_key("Ed25519 Root", &PKCS_ED25519, AS_IS)
    }

    fn with_key(common_name: &str, algorithm: &'static SignatureAlgorithm, change: Change) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut parameters = usual(common_name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut parameters);
        let pem = parameters.self_signed(&key).unwrap().pem();
        let public = rcgen::PublicKeyData::subject_public_key_info(&key);
        Self {
            pem,
            parameters: parameters.clone(),
            issuer: Issuer::new(parameters, key),
            public,
        }
    }

    /// A server certificate for the names.
    pub(crate) fn leaf(&self, names: &[&str], change: Change) -> Served {
        self.leaf_with("", names, change)
    }

    /// A server certificate with a common name.
    pub(crate) fn leaf_with(&self, common_name: &str, names: &[&str], change: Change) -> Served {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        self.leaf_for(&key, common_name, names, change)
    }

    /// A server certificate with an Ed25519 key.
    pub(crate) fn ed25519_leaf(&self, names: &[&str]) -> Served {
        self.leaf_for(&KeyPair::generate_for(&PKCS_ED25519).unwrap(), "", names, AS_IS)
    }

    fn leaf_for(&self, key: &KeyPair, common_name: &str, names: &[&str], change: Change) -> Served {
        let mut parameters = usual(common_name);
        let name = |name: &&str| rcgen::SanType::DnsName((*name).try_into().unwrap());
        parameters.subject_alt_names = names.iter().map(name).collect();
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut parameters);
        Served {
            chain: parameters.signed_by(key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A server certificate with a key and a signature of OpenSSL's choice, which
    /// the libraries of the product do not make: words of `openssl req -newkey` and
    /// `openssl x509`.
    pub(crate) fn openssl_leaf(&self, names: &[&str], key: &str, digest: &str) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &self.pem);
        write("ca.key", &self.issuer.key().serialize_pem());
        let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        write(
            "extensions",
            &format!(
                "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                 extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
                 subjectAltName={}\n",
                names.join(",")
            ),
        );
        for line in [
            format!("req -new -newkey {key} -nodes -keyout leaf.key -out request -subj /CN=odd"),
            format!(
                "x509 -req -in request -days 30 -CA ca.pem -CAkey ca.key -set_serial 4660 {digest} \
                 -extfile extensions -out leaf.pem"
            ),
        ] {
            let output = Command::new("openssl")
                .args(line.split_whitespace())
                .current_dir(folder.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl {line}: {said}");
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        Served {
            chain: read("leaf.pem"),
            key: read("leaf.key"),
        }
    }

    /// A certificate of `successor` that this root has signed.
    pub(crate) fn cross(&self, successor: &Self) -> String {
        let mut parameters = successor.parameters.clone();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let public = rcgen::SubjectPublicKeyInfo::from_der(&successor.public).unwrap();
        parameters.signed_by(&public, &self.issuer).unwrap().pem()
    }
}

/// A certificate that signs itself and is served as it is, as one command of
/// openssl makes it.
pub(crate) fn self_signed(name: &str) -> Served {
    let key = KeyPair::generate().unwrap();
    let mut parameters = usual(name);
    parameters.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Served {
        chain: parameters.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// Limits a root to this name.
pub(crate) fn limited_to_elsewhere(parameters: &mut CertificateParams) {
    parameters.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("elsewhere.example".to_owned())],
        excluded_subtrees: Vec::new(),
    });
}
