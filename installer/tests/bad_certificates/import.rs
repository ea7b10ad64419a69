//! `certs import --dry-run` with every kind of bad file.

use std::fs;

use crate::{CONVERT, Case, DOMAIN, PASSWORD, WRONG, case, check, files::folder, openssl, run, with};

const OPENED: &[&str] = &["no CA of this machine has issued it"];
/// What is said of a chain that leads to no CA that is known here.
const UNKNOWN: &[&str] = &["name the CA with --ca FILE", "--allow-unknown-ca"];

/// After `certs import --dry-run -d a.example.com`.
const IMPORTS: &[Case] = &[
    case("--cert good.pem --key good.key --ca ca.pem", 0, OPENED),
    // What leads to no CA that is known here, however much of the chain is there.
    case("--cert good.pem --key good.key", 79, UNKNOWN),
    case("--cert leaf.pem --chain between.pem --key leaf.key", 79, UNKNOWN),
    case(
        "--cert upside-down.pem --key leaf.key",
        79,
        &["the chain ends in \"CN=Root\", which is none of the CAs that clients trust"],
    ),
    case("--cert good.pem --key good.key --allow-unknown-ca", 0, OPENED),
    case(
        "--cert leaf.pem --chain between.pem --key leaf.key --allow-unknown-ca",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key good.key --allow-unknown-ca --ca ca.pem",
        64,
        &[],
    ),
    // What is weak.
    case(
        "--cert short.pem --key short.key --ca root.pem",
        79,
        &["the key of \"CN=short\" is weak: RSA 1024"],
    ),
    case(
        "--cert clients.pem --key clients.key --ca root.pem",
        79,
        &[
            "does not allow digital signatures",
            "does not allow server authentication",
            "the certificate of \"CN=between\" is missing",
        ],
    ),
    // What cannot be read.
    case(
        "--cert truncated.pem --key good.key",
        65,
        &[
            "truncated.pem: failed to read certificates: the CERTIFICATE section that begins in line 1 has no END",
        ],
    ),
    case(
        "--cert good.pem --key truncated.key",
        65,
        &["truncated.key: the PRIVATE KEY section that begins in line 1 has no END"],
    ),
    case(
        "--cert empty.pem --key good.key",
        65,
        &["empty.pem: failed to read certificates: no certificate found"],
    ),
    case(
        "--cert mixed.pem --key good.key",
        65,
        &["found a PRIVATE KEY section in line", "among the certificates"],
    ),
    case(
        "--cert good.pem --key mixed.pem",
        65,
        &["mixed.pem: found a CERTIFICATE section"],
    ),
    case(
        "--cert good.pem --key two.key",
        65,
        &["two.key: found 2 private keys"],
    ),
    case(
        "--cert good.der --key good.key",
        65,
        &["openssl x509 -inform DER -in good.der"],
    ),
    case(
        "--cert good.pem --key key.der",
        65,
        &["openssl pkey -inform DER -in key.der"],
    ),
    case(
        "--cert good.p12 --key good.p12",
        65,
        &["good.p12: it is PKCS#12", "openssl pkcs12 -in good.p12 -nokeys"],
    ),
    case(
        "--cert good.pem --key missing.key",
        65,
        &["missing.key: it cannot be read"],
    ),
    case(
        "--cert truncated.pem --chain good.der --key two.key --ca mixed.pem --key-password-file missing",
        65,
        &[
            "truncated.pem: ",
            "openssl x509 -inform DER -in good.der",
            "two.key: ",
            "mixed.pem: ",
            "failed to read the password file missing: No such file",
        ],
    ),
    // What can be read and not be served.
    case(
        "--cert apex.pem --key apex.key --ca ca.pem",
        79,
        &["the name \"*.a.example.com\" is not covered"],
    ),
    case(
        "--cert expired.pem --key expired.key --ca ca.pem",
        79,
        &["it expired at"],
    ),
    case(
        "--cert early.pem --key early.key",
        79,
        &["it is not valid before"],
    ),
    case(
        "--cert good.pem --key apex.key --ca ca.pem",
        79,
        &["the private key does not belong"],
    ),
    case(
        "--cert good.pem --key good.key --ca root.pem",
        79,
        &["is missing; append the issuer's chain"],
    ),
    case(
        "--cert ca.pem --key good.key",
        79,
        &["the first certificate is a CA's"],
    ),
    case(
        "--cert old-apex.pem --key good.key --ca root.pem",
        79,
        &[
            "*.a.example.com",
            "it expired at",
            "does not belong",
            "append the issuer's chain",
        ],
    ),
    case(
        "--cert unsigned.pem --chain silent.pem --key unsigned.key --ca root.pem",
        79,
        &["must not sign certificates: its key usage lacks keyCertSign"],
    ),
    // What is repaired.
    case(
        "--cert upside-down.pem --key leaf.key --ca root.pem",
        0,
        &["the chain was put in order"],
    ),
    case(
        "--cert leaf.pem --chain between.pem --key leaf.key --ca root.pem",
        0,
        OPENED,
    ),
    // Encrypted keys.
    case(
        "--cert good.pem --key aes256.key",
        65,
        &[
            "aes256.key: the private key is encrypted; give its password with --key-password-file FILE",
            "SILICA_KEY_PASSWORD",
        ],
    ),
    case(
        "--cert good.pem --key aes256.key --key-password-file password --ca ca.pem",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key aes128.key --key-password-file password --ca ca.pem",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key sha1.key --key-password-file password --ca ca.pem",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key sha512.key --key-password-file password --ca ca.pem",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key scrypt.key --key-password-file password --ca ca.pem",
        0,
        OPENED,
    ),
    with(
        PASSWORD,
        case("--cert good.pem --key aes256.key --ca ca.pem", 0, OPENED),
    ),
    with(
        WRONG,
        case(
            "--cert good.pem --key aes256.key --key-password-file password --ca ca.pem",
            0,
            OPENED,
        ),
    ),
    with(
        PASSWORD,
        case("--cert good.pem --key good.key --ca ca.pem", 0, OPENED),
    ),
    with(
        WRONG,
        case(
            "--cert good.pem --key aes256.key",
            65,
            &["aes256.key: the password does not open the private key"],
        ),
    ),
    case(
        "--cert good.pem --key scrypt.key --key-password-file wrong-password",
        65,
        &["scrypt.key: the password does not open the private key"],
    ),
    case(
        "--cert good.pem --key aes256.key --key-password-file empty.pem",
        65,
        &["empty.pem has an empty first line"],
    ),
    case(
        "--cert truncated.pem --key aes256.key --key-password-file wrong-password",
        65,
        &["truncated.pem: ", "aes256.key: the password does not open"],
    ),
    case(
        "--cert good.pem --key des3.key --key-password-file password",
        65,
        &["with an algorithm that is not read here", CONVERT],
    ),
    case(
        "--cert good.pem --key pbes1.key --key-password-file password",
        65,
        &["with an algorithm that is not read here", CONVERT],
    ),
    case(
        "--cert good.pem --key endless.key --key-password-file password",
        65,
        &["would take too much time or memory"],
    ),
    case(
        "--cert good.pem --key legacy.key",
        65,
        &["(Proc-Type: 4,ENCRYPTED)", CONVERT],
    ),
    case(
        "--cert good.pem --key legacy.key --key-password-file password",
        65,
        &["(Proc-Type: 4,ENCRYPTED)", CONVERT],
    ),
];

#[test]
fn import_tells_every_reason_and_changes_nothing() {
    let folder = folder();
    for case in IMPORTS {
        check(
            folder.path(),
            case,
            &["certs", "import", "--dry-run", "-d", DOMAIN],
        );
    }
}

#[test]
fn the_conversion_that_is_advised_makes_the_key_readable() {
    let folder = folder();
    // openssl takes the next line of a file that it is given twice.
    fs::copy(folder.path().join("password"), folder.path().join("again")).unwrap();
    for name in ["legacy.key", "des3.key", "pbes1.key"] {
        let command = CONVERT.replace("KEY", name).replace("NEW", "new.key");
        let line = command.strip_prefix("openssl ").unwrap();
        openssl(
            folder.path(),
            &format!("{line} -passin file:password -passout file:again"),
        );
        let args = "--cert good.pem --key new.key --key-password-file password --ca ca.pem";
        let prefix = ["certs", "import", "--dry-run", "-d", DOMAIN];
        check(folder.path(), &case(args, 0, OPENED), &prefix);
    }
}

#[test]
fn a_password_is_never_an_argument() {
    let folder = folder();
    let args = "--cert good.pem --key aes256.key --key-password secret";
    check(folder.path(), &case(args, 64, &[]), &["certs", "import"]);
}

#[test]
fn each_kind_of_client_has_a_line_and_an_entry() {
    let folder = folder();
    let import = |more: &[&str]| {
        let args = "certs import --dry-run -d a.example.com --cert good.pem --key good.key --ca ca.pem";
        let args: Vec<&str> = args.split(' ').chain(more.iter().copied()).collect();
        run(env!("CARGO_BIN_EXE_silica"), folder.path(), &args, None)
    };
    let shown = String::from_utf8(import(&[]).stdout).unwrap();
    for title in ["Python from 3.13 on", "rustls", "Go", "Node.js", "browsers"] {
        let line = shown.lines().find(|line| line.trim_start().starts_with(title));
        assert!(line.is_some_and(|line| line.contains("accept it")), "{shown}");
    }
    let json: serde_json::Value = serde_json::from_slice(&import(&["-o", "json"]).stdout).unwrap();
    let clients = json["clients"].as_array().unwrap();
    assert_eq!(clients.len(), silica_certs::import::Client::ALL.len(), "{json}");
    assert!(clients.iter().all(|one| one["accepts"] == true), "{json}");
    let args = "certs import --dry-run -d a.example.com --cert apex.pem --key apex.key --ca ca.pem -o json";
    let args: Vec<&str> = args.split(' ').collect();
    let output = run(env!("CARGO_BIN_EXE_silica"), folder.path(), &args, None);
    assert_eq!(output.status.code(), Some(79));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["accepted"], false);
    assert!(json["reasons"][0].as_str().unwrap().contains("*.a.example.com"));
    assert_eq!(json["clients"][0]["accepts"], false, "{json}");
    let refused = "--cert apex.pem --key apex.key --ca ca.pem";
    let says = &["Clients that trust its CA", "refuse it: the name"];
    check(
        folder.path(),
        &case(refused, 79, says),
        &["certs", "import", "--dry-run", "-d", DOMAIN],
    );
}
