//! `certs generate` with an authority of before that is bad, and folders that are.

use std::fs;

use silica_certs::authority::{Authority, AuthorityRequest};
use time::{Duration, OffsetDateTime};

use crate::{CONVERT, Case, DOMAIN, case, check, content, files::folder, openssl, run, stderr};

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
        case(
            "",
            65,
            &[
                "failed to load the CA of out",
                "the CERTIFICATE section that begins in line 1 has no END",
            ],
        ),
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

#[test]
fn one_certificate_covers_several_domains() {
    let folder = tempfile::tempdir().unwrap();
    let args = "certs generate -d a.example.com -d b.example -d a.example.com -o out";
    let args: Vec<&str> = args.split(' ').collect();
    let output = run(env!("CARGO_BIN_EXE_silica"), folder.path(), &args, None);
    assert!(output.status.success(), "{}", stderr(&output));
    let file = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let now = OffsetDateTime::now_utc();
    for name in ["a.example.com", "*.a.example.com", "b.example", "*.b.example"] {
        let served = silica_certs::verify::chain(&file("fullchain.pem"), &file(CA), name, now);
        assert!(served.is_ok(), "{name}: {served:?}");
    }
    let names = &silica_certs::inspect::parse_chain(&file("fullchain.pem")).unwrap()[0].names;
    assert_eq!(
        names.iter().filter(|name| *name == "a.example.com").count(),
        1,
        "{names:?}"
    );
    check(
        folder.path(),
        &case("-d a.example.com -d b_ad -o other", 65, &["b_ad"]),
        &["certs", "generate"],
    );
}

#[test]
fn a_named_authority_signs_and_stays_where_it_is() {
    let folder = folder();
    openssl(
        folder.path(),
        "pkcs8 -topk8 -v2 aes-256-cbc -in root.key -passout file:password -out locked-root.key",
    );
    let generate = ["certs", "generate", "-d", DOMAIN, "-o"];
    let prefix = [&generate[..], &["out"]].concat();
    for (args, code, says) in [
        (
            "--ca-cert root.pem --ca-key root.key",
            0,
            &["signed by the CA of root.pem"][..],
        ),
        (
            "--ca-cert root.pem --ca-key locked-root.key --key-password-file password",
            0,
            &["signed by the CA of root.pem"],
        ),
        (
            "--ca-cert root.pem --ca-key locked-root.key",
            65,
            &[
                "failed to load the CA of root.pem and locked-root.key",
                "--key-password-file FILE",
            ],
        ),
        (
            "--ca-cert root.pem --ca-key good.key",
            65,
            &["does not belong to the certificate"],
        ),
        (
            "--ca-cert missing.pem --ca-key root.key",
            1,
            &["failed to read missing.pem"],
        ),
        ("--ca-cert root.pem", 64, &["--ca-key"]),
        ("--ca-key root.key", 64, &["--ca-cert"]),
    ] {
        let out = folder.path().join("out");
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        check(folder.path(), &case(args, code, says), &prefix);
        if code == 0 {
            let mut names: Vec<_> = content(&out)
                .into_keys()
                .map(|path| path.file_name().unwrap().to_owned())
                .collect();
            names.sort();
            assert_eq!(names, ["fullchain.pem", "privkey.pem"], "the CA's key is spread");
            let served = fs::read_to_string(out.join("fullchain.pem")).unwrap();
            let root = fs::read_to_string(folder.path().join("root.pem")).unwrap();
            let now = OffsetDateTime::now_utc();
            silica_certs::verify::chain(&served, &root, DOMAIN, now).unwrap();
        }
    }
    // A folder of another CA would have a certificate beside it that it has not signed.
    let made = run(
        env!("CARGO_BIN_EXE_silica"),
        folder.path(),
        &[&generate[..], &["own"]].concat(),
        None,
    );
    assert!(made.status.success());
    check(
        folder.path(),
        &case(
            "--ca-cert root.pem --ca-key root.key",
            1,
            &["own/ca-fullchain.pem holds another CA"],
        ),
        &[&generate[..], &["own"]].concat(),
    );
}

#[test]
fn a_life_that_is_long_or_cut_is_told() {
    const LONG: &[&str] = &["longer than 398 days"];
    let folder = tempfile::tempdir().unwrap();
    let generate = ["certs", "generate", "-d", DOMAIN, "-o"];
    check(folder.path(), &case("long -D 399", 0, LONG), &generate);
    let args = [&generate[..], &["usual", "-D", "398"]].concat();
    let output = run(env!("CARGO_BIN_EXE_silica"), folder.path(), &args, None);
    assert!(output.status.success() && !stderr(&output).contains(LONG[0]));
    let services = ["svc", "svc.cluster.local"].map(|end| format!("sandbox-manager.sandbox-system.{end}"));
    let short = AuthorityRequest {
        validity: Duration::days(30),
        ..AuthorityRequest::new(vec![DOMAIN.to_owned()], services.into())
    };
    let authority = Authority::create(&short, OffsetDateTime::now_utc()).unwrap();
    let out = folder.path().join("short");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(CA), authority.certificate_pem()).unwrap();
    fs::write(out.join(CA_KEY), authority.key_pem().expose()).unwrap();
    check(
        folder.path(),
        &case("short -D 90", 0, &["ends with its CA"]),
        &generate,
    );
}
