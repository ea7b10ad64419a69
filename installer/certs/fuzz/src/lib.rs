//! Fuzz targets: what reads material of unknown origin. Each takes any bytes
//! and has to come back, with a result or an error, and never panic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::pbes2::Kdf;
use rustls_pki_types::CertificateDer;
use silica_certs::authority::Authority;
use silica_certs::decide::{self, Existing};
use silica_certs::key::ServerKey;
use silica_certs::leaf::LeafRequest;
use silica_certs::secret::PrivateKeyPem;
use silica_certs::{bundle, import, inspect, pem, verify};
use time::OffsetDateTime;

const DOMAIN: &str = "a.example.com";

/// A CA and a server certificate of it, with their keys. Made for these targets, secret to nobody.
const CA: &str = include_str!("../corpus/ca.pem");
const CA_KEY: &str = include_str!("../corpus/ca-key.pem");
const LEAF: &str = include_str!("../corpus/leaf.pem");
const LEAF_KEY: &str = include_str!("../corpus/leaf-key.pem");

/// A moment in the life of the corpus.
fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_796_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Text of any kind: PEM in all its damaged forms.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = pem::certificates(&text);
    let _ = pem::private_key(&text);
    let _ = inspect::parse_chain(&text);
    if let Ok(key) = PrivateKeyPem::parse(&text) {
        let _ = ServerKey::load(&key);
    }
    let _ = Authority::from_pem(&text, &text);
    let _ = bundle::merge(&[&text, CA], now());
}

/// One certificate in DER: everything that looks at a single one.
pub fn certificate(data: &[u8]) {
    let Ok(read) = inspect::parse_der(&CertificateDer::from(data)) else {
        return;
    };
    let _ = (read.covers(DOMAIN), read.permits(DOMAIN), read.is_for_servers());
    let _ = (
        read.renewal_due(),
        read.display_fingerprint(),
        read.is_valid_at(now()),
    );
    let text = pem::encode_certificate(data);
    let found = Existing {
        chain_pem: Some(&text),
        key_pem: Some(LEAF_KEY),
    };
    let names = [DOMAIN.to_owned()];
    let _ = decide::leaf(found, CA, &names, now());
    let _ = decide::authority(found, &names, now());
    let _ = verify::key_matches(&text, LEAF_KEY);
}

/// Certificates one behind the other, in DER: chains, their repair, bundles.
pub fn chain(data: &[u8]) {
    let chain: String = split(data).into_iter().map(pem::encode_certificate).collect();
    let roots = format!("{CA}{chain}");
    for name in [DOMAIN, "*.a.example.com", "b.example"] {
        let _ = verify::chain(&chain, &roots, name, now());
    }
    if let Ok(ordered) = import::ordered(&chain) {
        let _ = import::review(&ordered.served, LEAF_KEY, &[DOMAIN], Some(CA), now());
    }
    let _ = import::review(&chain, LEAF_KEY, &[DOMAIN], None, now());
    let _ = import::review(LEAF, LEAF_KEY, &[DOMAIN], Some(&chain), now());
    if let Ok(merged) = bundle::merge(&[&chain, CA], now()) {
        let _ = bundle::without(&merged, "0", now());
    }
}

/// A private key in DER, under each of the labels.
pub fn key(data: &[u8]) {
    for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
        let text = format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(data)
        );
        let _ = verify::key_matches(LEAF, &text);
        let _ = Authority::from_pem(CA, &text);
        let _ = ServerKey::for_renewal(&text);
    }
}

/// An encrypted private key in DER, which says how much work its opening is.
pub fn sealed(data: &[u8]) {
    let label = "ENCRYPTED PRIVATE KEY";
    let text = format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(data)
    );
    let _ = PrivateKeyPem::open(&text, None);
    if !is_worth_it(data) {
        return;
    }
    // The password of the corpus.
    if let Ok(key) = PrivateKeyPem::open(&text, Some(b"password")) {
        let _ = ServerKey::load(&key);
    }
}

/// Rounds that a run of many inputs can afford, and those that nobody may be asked for.
const ROUNDS: [u32; 2] = [5_000, 50_000_000];
/// Bytes of memory, in the same way.
const MEMORY: [u128; 2] = [1 << 20, 1 << 32];

/// Whether opening takes no time, or has to be refused for the time that it would
/// take. What lies between is allowed, and too slow for a search.
fn is_worth_it(data: &[u8]) -> bool {
    let Ok(sealed) = EncryptedPrivateKeyInfoRef::try_from(data) else {
        return true;
    };
    match sealed
        .encryption_algorithm
        .pbes2()
        .map(|parameters| &parameters.kdf)
    {
        Some(Kdf::Pbkdf2(kdf)) => !(ROUNDS[0]..ROUNDS[1]).contains(&kdf.iteration_count),
        Some(Kdf::Scrypt(kdf)) => {
            let memory = u128::from(kdf.cost_parameter) * u128::from(kdf.block_size) * 128;
            let work = memory * u128::from(kdf.parallelization);
            work < MEMORY[0] || memory > MEMORY[1]
        }
        _ => true,
    }
}

/// A CA certificate in DER for a key that is at hand: what it says goes into
/// the certificates that it signs.
pub fn authority(data: &[u8]) {
    let text = pem::encode_certificate(data);
    let Ok(loaded) = Authority::from_pem(&text, CA_KEY) else {
        return;
    };
    let _ = loaded.issue(&LeafRequest::new(vec![DOMAIN.to_owned()]), now());
    if let Ok(other) = Authority::from_pem(CA, CA_KEY) {
        let _ = loaded.cross_certify(&other, now());
        let _ = other.cross_certify(&loaded, now());
    }
}

/// Cuts the bytes into the ASN.1 values that follow each other; the rest, if it
/// is none, is the last piece.
fn split(mut data: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !data.is_empty() {
        let length = match data {
            [_, short @ 0..=0x7f, ..] => 2 + usize::from(*short),
            [_, 0x81, one, ..] => 3 + usize::from(*one),
            [_, 0x82, high, low, ..] => 4 + usize::from(*high) * 256 + usize::from(*low),
            _ => data.len(),
        };
        let (piece, rest) = data.split_at(length.min(data.len()));
        pieces.push(piece);
        data = rest;
    }
    pieces
}
