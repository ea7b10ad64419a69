//! `silica certs` with bad files and bad disks: each case has its exit code, all
//! reasons at once, no secret in what is printed, and a folder that is as before.
//! Files come from openssl and from our own library; no cluster.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use silica_certs::{
    authority::{Authority, AuthorityRequest},
    leaf::LeafRequest,
};
use time::{Duration, OffsetDateTime};

const DOMAIN: &str = "a.example.com";
const PASSWORD: &str = "correct horse 9";
const WRONG: &str = "battery staple 7";

fn run(program: &str, folder: &Path, args: &[&str], password: Option<&str>) -> Output {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(folder)
        .env_remove("KUBECONFIG")
        .env_remove("SILICA_KEY_PASSWORD")
        .env("HOME", folder);
    if let Some(password) = password {
        command.env("SILICA_KEY_PASSWORD", password);
    }
    command.output().unwrap()
}

fn openssl(folder: &Path, line: &str) {
    let args: Vec<&str> = line.split_whitespace().collect();
    let output = run("openssl", folder, &args, None);
    assert!(output.status.success(), "openssl {line}: {}", stderr(&output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below the folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(content(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// One run and what has to come of it.
#[derive(Clone, Copy)]
struct Case {
    args: &'static str,
    /// For the variable.
    password: Option<&'static str>,
    code: i32,
    says: &'static [&'static str],
}

const fn case(args: &'static str, code: i32, says: &'static [&'static str]) -> Case {
    Case {
        args,
        password: None,
        code,
        says,
    }
}

const fn with(password: &'static str, case: Case) -> Case {
    Case {
        password: Some(password),
        ..case
    }
}

fn check(folder: &Path, case: &Case, prefix: &[&str]) {
    let before = content(folder);
    let mut args = prefix.to_vec();
    args.extend(case.args.split_whitespace());
    let output = run(env!("CARGO_BIN_EXE_silica"), folder, &args, case.password);
    let message = stderr(&output);
    let title = format!("silica {}", args.join(" "));
    assert_eq!(output.status.code(), Some(case.code), "{title}:\n{message}");
    for part in case.says {
        assert!(message.contains(part), "{title}: {part:?} is not in:\n{message}");
    }
    assert_no_secret(folder, &output, &title);
    if case.code != 0 {
        assert!(content(folder) == before, "{title}: the folder is not as before");
        assert!(output.stdout.is_empty(), "{title}: a result was printed");
    }
}

/// No line of any key, and no password.
fn assert_no_secret(folder: &Path, output: &Output, title: &str) {
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(output));
    for secret in [PASSWORD, WRONG] {
        assert!(!shown.contains(secret), "{title}: shows a password");
    }
    let files = content(folder).into_values();
    for text in files.filter_map(|bytes| String::from_utf8(bytes).ok()) {
        let lines = text
            .lines()
            .filter(|line| line.len() > 30 && !line.contains("-----"));
        for line in lines {
            assert!(!shown.contains(line), "{title}: shows a line of a file");
        }
    }
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

/// Certificates and keys, good and bad.
fn folder() -> tempfile::TempDir {
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
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::write(
        folder.join("upside-down.pem"),
        read("root.pem") + &read("between.pem") + &read("leaf.pem"),
    )
    .unwrap();
}

fn sign(folder: &Path, name: &str, extensions: &str, by: &str) {
    fs::write(folder.join("extensions"), extensions).unwrap();
    openssl(
        folder,
        &format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out request -subj /CN={name}"
        ),
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

const OPENED: &[&str] = &["no CA of this machine has issued it"];
const CONVERT: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW";

/// After `certs import --dry-run -d a.example.com`.
const IMPORTS: &[Case] = &[
    case("--cert good.pem --key good.key", 0, OPENED),
    case("--cert good.pem --key good.key --ca ca.pem", 0, OPENED),
    // What cannot be read.
    case(
        "--cert truncated.pem --key good.key",
        65,
        &["truncated.pem: failed to read certificates: failed to decode PEM: a section has no END line"],
    ),
    case(
        "--cert good.pem --key truncated.key",
        65,
        &["truncated.key: failed to decode PEM"],
    ),
    case(
        "--cert empty.pem --key good.key",
        65,
        &["empty.pem: failed to read certificates: no certificate found"],
    ),
    case(
        "--cert mixed.pem --key good.key",
        65,
        &["found a PRIVATE KEY section among the certificates"],
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
        "--cert upside-down.pem --key leaf.key",
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
        "--cert good.pem --key aes256.key --key-password-file password",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key aes128.key --key-password-file password",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key sha1.key --key-password-file password",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key sha512.key --key-password-file password",
        0,
        OPENED,
    ),
    case(
        "--cert good.pem --key scrypt.key --key-password-file password",
        0,
        OPENED,
    ),
    with(PASSWORD, case("--cert good.pem --key aes256.key", 0, OPENED)),
    with(
        WRONG,
        case(
            "--cert good.pem --key aes256.key --key-password-file password",
            0,
            OPENED,
        ),
    ),
    with(PASSWORD, case("--cert good.pem --key good.key", 0, OPENED)),
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
        let args = "--cert good.pem --key new.key --key-password-file password";
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

/// What is in the output folder before `certs generate -d a.example.com -o out`, as
/// (name there, file here), the flags, and what has to come of it.
type Prepared = (&'static [(&'static str, &'static str)], Case);

const CA: &str = "ca-fullchain.pem";
const CA_KEY: &str = "ca-privkey.pem";

const GENERATIONS: &[Prepared] = &[
    (
        &[(CA, "root.pem"), (CA_KEY, "root.key")],
        case("", 0, &["the CA was in the folder already"]),
    ),
    (
        &[(CA, "truncated.pem"), (CA_KEY, "root.key")],
        case("", 65, &["failed to load the CA of out", "failed to decode PEM"]),
    ),
    (
        &[(CA, "mixed.pem"), (CA_KEY, "root.key")],
        case("", 65, &["found a PRIVATE KEY section"]),
    ),
    (
        &[(CA, "root.pem"), (CA_KEY, "two.key")],
        case("", 65, &["found 2 private keys"]),
    ),
    (
        &[(CA, "root.pem"), (CA_KEY, "good.key")],
        case("", 65, &["does not belong to the certificate"]),
    ),
    (
        &[(CA, "good.pem"), (CA_KEY, "good.key")],
        case("", 65, &["is not a CA certificate"]),
    ),
    (
        &[(CA, "silent.pem"), (CA_KEY, "silent.key")],
        case("", 65, &["its key usage lacks keyCertSign"]),
    ),
    (
        &[(CA, "root.pem")],
        case("", 65, &["ca-fullchain.pem is there without out/ca-privkey.pem"]),
    ),
    (
        &[(CA_KEY, "root.key")],
        case("", 65, &["ca-privkey.pem is there without out/ca-fullchain.pem"]),
    ),
    (
        &[(CA, "root.pem"), (CA_KEY, "locked-root.key")],
        case(
            "",
            65,
            &["the private key is encrypted", "--key-password-file FILE"],
        ),
    ),
    (
        &[(CA, "root.pem"), (CA_KEY, "locked-root.key")],
        case(
            "--key-password-file wrong-password",
            65,
            &["the password does not open the private key"],
        ),
    ),
    (
        &[(CA, "root.pem"), (CA_KEY, "locked-root.key")],
        case(
            "--key-password-file password",
            0,
            &["the CA was in the folder already and stays"],
        ),
    ),
    (
        &[(CA, "root.pem"), (CA_KEY, "legacy.key")],
        case("", 65, &["(Proc-Type: 4,ENCRYPTED)", CONVERT]),
    ),
];

#[test]
fn generate_takes_no_bad_authority_and_keeps_what_is_there() {
    let folder = folder();
    openssl(
        folder.path(),
        "pkcs8 -topk8 -v2 aes-256-cbc -in root.key -passout file:password -out locked-root.key",
    );
    let out = folder.path().join("out");
    for (before, case) in GENERATIONS {
        fs::create_dir(&out).unwrap();
        fs::write(out.join("privkey.pem"), "former key").unwrap();
        fs::write(out.join("fullchain.pem"), "former certificate").unwrap();
        for (name, file) in *before {
            fs::copy(folder.path().join(file), out.join(name)).unwrap();
        }
        check(
            folder.path(),
            case,
            &["certs", "generate", "-d", DOMAIN, "-o", "out"],
        );
        for (name, file) in *before {
            let (there, here) = (fs::read(out.join(name)), fs::read(folder.path().join(file)));
            assert_eq!(there.unwrap(), here.unwrap(), "{name} was changed");
        }
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn an_authority_out_of_its_time_signs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let now = OffsetDateTime::now_utc();
    let services = ["svc", "svc.cluster.local"].map(|end| format!("sandbox-manager.sandbox-system.{end}"));
    let short = AuthorityRequest {
        validity: Duration::days(1),
        ..AuthorityRequest::new(vec![DOMAIN.to_owned()], services.into())
    };
    for at in [now - Duration::days(2), now + Duration::days(2)] {
        let authority = Authority::create(&short, at).unwrap();
        fs::create_dir(&out).unwrap();
        fs::write(out.join(CA), authority.certificate_pem()).unwrap();
        fs::write(out.join(CA_KEY), authority.key_pem().expose()).unwrap();
        let before = content(folder.path());
        let args = ["certs", "generate", "-d", DOMAIN, "-o", "out"];
        let output = run(env!("CARGO_BIN_EXE_silica"), folder.path(), &args, None);
        assert!(!output.status.success());
        assert!(
            stderr(&output).contains("the CA is valid from"),
            "{}",
            stderr(&output)
        );
        assert!(content(folder.path()) == before);
        fs::remove_dir_all(&out).unwrap();
    }
}

/// A name that is taken by a folder shows only when the files are renamed.
#[test]
fn generate_goes_back_when_the_last_file_cannot_be_put() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let generate = ["certs", "generate", "-d", DOMAIN, "-o", "out"];
    for taken in ["fullchain.pem", "privkey.pem"] {
        fs::create_dir_all(out.join(taken)).unwrap();
        let says: &[&str] = if taken == "privkey.pem" {
            &["failed to write out/privkey.pem"]
        } else {
            &["failed to write out/fullchain.pem"]
        };
        check(folder.path(), &case("", 1, says), &generate);
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let args = ["certs", "generate", "-d", DOMAIN, "-o"];
    check(
        folder.path(),
        &case("file/new", 1, &["file/new", "Not a directory"]),
        &args,
    );
    // Nobody, not even root, makes files there.
    check(folder.path(), &case("/proc/silica", 1, &["/proc/silica"]), &args);
}

/// A file system of its own in a namespace of its own: gone with the command.
/// Returns what it printed: the exit code, then the files in `out`.
fn generate_on(folder: &Path, options: &str, before: &str, then: &str) -> Option<(Vec<String>, String)> {
    let script = format!(
        "mkdir -p out && mount -t tmpfs -o {options} none out || exit 77\n{before}\n\
         cat out/* 2>/dev/null | cksum\n{then}\n\"$0\" certs generate -d {DOMAIN} -o out\necho $?\n\
         rm -f out/filler\ncat out/* 2>/dev/null | cksum\nls -A out"
    );
    let args = [
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &script,
        env!("CARGO_BIN_EXE_silica"),
    ];
    let output = run("unshare", folder, &args, None);
    if output.status.code() == Some(77) || stderr(&output).contains("unshare") {
        assert!(std::env::var_os("CI").is_none(), "no mount namespace can be made");
        println!("skipped: no mount namespace can be made here");
        return None;
    }
    let lines = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    Some((lines, stderr(&output)))
}

#[test]
fn a_disk_that_is_full_at_any_moment_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // One file takes a page; the fifth size has room for all four.
    for pages in 0..=4 {
        let fill = format!("head -c {}k /dev/zero > out/filler", (8 - pages) * 4);
        let Some((lines, message)) = generate_on(folder.path(), "size=32k", &fill, "") else {
            return;
        };
        if pages == 4 {
            assert_eq!(lines[1], "0", "{message}");
            assert_eq!(lines.len(), 3 + 4, "{lines:?}");
            continue;
        }
        assert_eq!(lines[1], "1", "{pages} pages: {message}");
        assert!(message.contains("No space left on device"), "{message}");
        assert_eq!(lines.len(), 3, "{pages} pages left {:?} behind", &lines[3..]);
    }
}

#[test]
fn a_full_disk_keeps_the_files_of_a_former_run() {
    let folder = tempfile::tempdir().unwrap();
    let before = format!("\"$0\" certs generate -d {DOMAIN} -o out 2>/dev/null || exit 1");
    for pages in 0..=3 {
        let fill = format!("head -c {}k /dev/zero > out/filler", (12 - pages) * 4);
        let Some((lines, message)) = generate_on(folder.path(), "size=64k", &before, &fill) else {
            return;
        };
        assert_eq!(lines[1], "1", "{pages} pages: {message}");
        assert_eq!(lines[0], lines[2], "{pages} pages: a file was changed");
        assert_eq!(lines.len(), 3 + 4, "{lines:?}");
    }
}

#[test]
fn folders_made_in_vain_go_with_the_files() {
    let folder = tempfile::tempdir().unwrap();
    // The file system itself and two folders: no file.
    let deep = format!("\"$0\" certs generate -d {DOMAIN} -o out/new/deep");
    let Some((lines, message)) = generate_on(folder.path(), "size=64k,nr_inodes=3", &deep, "ls -A out")
    else {
        return;
    };
    assert!(
        message.contains("failed to write out/new/deep/ca-privkey.pem"),
        "{message}"
    );
    assert_eq!(lines[1], "1", "{lines:?} {message}");
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn a_read_only_folder_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let before = format!("\"$0\" certs generate -d {DOMAIN} -o out 2>/dev/null || exit 1");
    let close = "mount -o remount,ro out";
    let Some((lines, message)) = generate_on(folder.path(), "size=64k", &before, close) else {
        return;
    };
    assert_eq!(lines[1], "1", "{message}");
    assert!(message.contains("Read-only file system"), "{message}");
    assert_eq!(lines[0], lines[2]);
    assert_eq!(lines.len(), 3 + 4, "{lines:?}");
}
