//! Certificates and keys, good and bad, of openssl and of our own library.

use std::{fs, path::Path};

use silica_certs::{
    authority::{Authority, AuthorityRequest},
    leaf::LeafRequest,
};
use time::{Duration, OffsetDateTime};

use crate::{DOMAIN, PASSWORD, WRONG, openssl, run};

/// Certificates and keys, good and bad.
pub(crate) fn folder() -> tempfile::TempDir {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    let now = OffsetDateTime::now_utc();
    let old = now - Duration::days(200);
    let both = [DOMAIN, "*.a.example.com"];
    let ours = authority(old);
    fs::write(folder.join("ca.pem"), ours.certificate_pem()).unwrap();
    write_pair(folder, "good", &both, &ours, now);
    write_pair(folder, "apex", &[DOMAIN], &ours, now);
    write_pair(folder, "expired", &both, &ours, old);
    write_pair(folder, "old-apex", &[DOMAIN], &ours, old);
    let future = now + Duration::days(2);
    write_pair(folder, "early", &both, &authority(future), future);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (certificate, key) = (read("good.pem"), read("good.key"));
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("truncated.pem", &certificate[..certificate.len() / 2]);
    write("truncated.key", &key[..key.len() / 2]);
    write("mixed.pem", &format!("{certificate}{key}"));
    write("two.key", &format!("{key}{}", read("apex.key")));
    write("empty.pem", "");
    write("password", &format!("{PASSWORD}\n"));
    write("wrong-password", WRONG);

    openssl(folder, "x509 -in good.pem -outform DER -out good.der");
    openssl(folder, "pkey -in good.key -outform DER -out key.der");
    openssl(
        folder,
        "pkcs12 -export -in good.pem -inkey good.key -passout pass:x -out good.p12",
    );
    encrypt(folder);
    chain(folder);
    made
}

fn write_pair(folder: &Path, name: &str, names: &[&str], authority: &Authority, at: OffsetDateTime) {
    let request = LeafRequest::new(names.iter().map(ToString::to_string).collect());
    let leaf = authority.issue(&request, at).unwrap();
    fs::write(folder.join(format!("{name}.pem")), leaf.chain_pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), leaf.key_pem().expose()).unwrap();
}

fn authority(at: OffsetDateTime) -> Authority {
    Authority::create(&AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new()), at).unwrap()
}

/// `good.key` in every form of encryption that openssl knows.
fn encrypt(folder: &Path) {
    for (name, how) in [
        ("aes256", "-v2 aes-256-cbc"),
        ("aes128", "-v2 aes-128-cbc"),
        ("sha1", "-v2 aes-256-cbc -v2prf hmacWithSHA1"),
        ("sha512", "-v2 aes-256-cbc -v2prf hmacWithSHA512"),
        ("scrypt", "-scrypt"),
        ("des3", "-v2 des3"),
        ("pbes1", "-v1 PBE-SHA1-3DES"),
        ("endless", "-v2 aes-256-cbc -iter 2000000000"),
    ] {
        // The work is not done twice: the count is changed in the file.
        let (how, is_endless) = match how.strip_suffix(" -iter 2000000000") {
            Some(how) => (how.to_owned() + " -iter 65537", true),
            None => (how.to_owned(), false),
        };
        let out = format!("{name}.key");
        openssl(
            folder,
            &format!("pkcs8 -topk8 {how} -in good.key -passout file:password -out {out}"),
        );
        if is_endless {
            openssl(folder, &format!("asn1parse -in {out} -noout -out endless.der"));
            let mut der = fs::read(folder.join("endless.der")).unwrap();
            // INTEGER 65537 of three bytes.
            let at = der.windows(5).position(|part| part == [2, 3, 1, 0, 1]).unwrap();
            der[at + 2] = 0x7f;
            fs::write(folder.join("endless.der"), der).unwrap();
            let body = run("openssl", folder, &["base64", "-in", "endless.der"], None).stdout;
            let body = String::from_utf8(body).unwrap();
            let label = "ENCRYPTED PRIVATE KEY";
            fs::write(
                folder.join(out),
                format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n"),
            )
            .unwrap();
            fs::remove_file(folder.join("endless.der")).unwrap();
        }
    }
    openssl(
        folder,
        "ec -in good.key -aes128 -passout file:password -out legacy.key",
    );
    assert!(
        fs::read_to_string(folder.join("legacy.key"))
            .unwrap()
            .contains("Proc-Type: 4,ENCRYPTED")
    );
}

/// `leaf.pem` of `between.pem` of `root.pem`; and the same of a CA that must not sign.
fn chain(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!(
            "req -x509 {key} -keyout root.key -out root.pem -days 30 -subj /CN=Root \
             -addext keyUsage=critical,keyCertSign,cRLSign"
        ),
    );
    for (between, usage, leaf) in [
        ("between", "keyCertSign,cRLSign", "leaf"),
        ("silent", "cRLSign", "unsigned"),
    ] {
        let extensions = format!(
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,{usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        );
        sign(folder, between, &extensions, "root");
        let extensions = format!(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n\
             subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        );
        sign(folder, leaf, &extensions, between);
    }
    weak(folder);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::write(
        folder.join("upside-down.pem"),
        read("root.pem") + &read("between.pem") + &read("leaf.pem"),
    )
    .unwrap();
}

/// `short.pem` with a key of 1024 bits, and `clients.pem` with nothing of what a server needs.
fn weak(folder: &Path) {
    let of = |usage: &str, purpose: &str| {
        format!(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,{usage}\nextendedKeyUsage={purpose}\n\
             subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
    };
    let short = of("digitalSignature", "serverAuth");
    sign_for(folder, "short", "rsa:1024", &short, "root");
    sign(folder, "clients", &of("keyEncipherment", "clientAuth"), "between");
}

fn sign(folder: &Path, name: &str, extensions: &str, by: &str) {
    sign_for(
        folder,
        name,
        "ec -pkeyopt ec_paramgen_curve:P-256",
        extensions,
        by,
    );
}

fn sign_for(folder: &Path, name: &str, key: &str, extensions: &str, by: &str) {
    fs::write(folder.join("extensions"), extensions).unwrap();
    openssl(
        folder,
        &format!("req -new -newkey {key} -nodes -keyout {name}.key -out request -subj /CN={name}"),
    );
    openssl(
        folder,
        &format!(
            "x509 -req -in request -days 25 -CA {by}.pem -CAkey {by}.key -CAcreateserial -extfile extensions -out {name}.pem"
        ),
    );
    for used in ["extensions", "request"] {
        fs::remove_file(folder.join(used)).unwrap();
    }
}
