//! Secrets of every kind, and the ways in which they are damaged.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Letters that no program prints by chance.
const TOKEN: &str = "Zq7XwP3nLk9TbV5mRd2HsY8fGc4JaQ6e";

/// A secret in the form that a file has it.
pub(crate) struct Secret {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    /// What must not be seen of it.
    pub(crate) letters: String,
}

impl Secret {
    /// One line.
    pub(crate) fn plain(kind: &'static str) -> Self {
        Self {
            kind,
            text: format!("{TOKEN}\n"),
            letters: TOKEN.to_owned(),
        }
    }

    /// In a YAML text, where `{}` stands.
    pub(crate) fn in_yaml(kind: &'static str, text: &str) -> Self {
        Self {
            kind,
            text: text.replace("{}", TOKEN),
            letters: TOKEN.to_owned(),
        }
    }
}

/// Keys in the usual forms, made by OpenSSL.
pub(crate) fn private_keys() -> Vec<Secret> {
    let forms: [(&str, &[&str]); 3] = [
        (
            "P-256 in PKCS#8",
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ],
        ),
        ("P-256 in SEC1", &["ecparam", "-genkey", "-name", "prime256v1"]),
        (
            "P-521",
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-521",
            ],
        ),
    ];
    forms
        .into_iter()
        .map(|(kind, arguments)| {
            let text = openssl(Path::new("."), arguments);
            let begin = text.rfind("-----BEGIN ").unwrap();
            let body: String = text[begin..]
                .lines()
                .filter(|line| !line.contains("-----"))
                .collect();
            // The first letters say of which kind it is, in every such key.
            let letters = body[48..].to_owned();
            Secret { kind, text, letters }
        })
        .collect()
}

/// A kubeconfig for a server that nobody is, with this user.
fn kubeconfig(user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: a\n  cluster: {{server: 'https://127.0.0.1:1'}}\n\
         contexts:\n- name: a\n  context: {{cluster: a, user: a}}\nusers:\n- name: a\n  user:\n    {user}\n"
    )
}

/// Kubeconfigs with a token, a password and a key inside.
pub(crate) fn kubeconfigs() -> Vec<Secret> {
    [
        ("token", kubeconfig(&format!("token: {TOKEN}"))),
        (
            "password",
            kubeconfig(&format!("username: u\n    password: {TOKEN}")),
        ),
        (
            "client key",
            kubeconfig(&format!(
                "client-certificate-data: AAAA\n    client-key-data: {TOKEN}"
            )),
        ),
        (
            "client key on one line",
            kubeconfig(&format!(
                "client-certificate-data: {}\n    client-key-data: {}",
                base64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                base64(&format!(
                    "-----BEGIN PRIVATE KEY-----\\n{TOKEN}\\n-----END PRIVATE KEY-----"
                ))
            )),
        ),
        (
            "token behind a broken line",
            kubeconfig(&format!("token: \"{TOKEN}")),
        ),
        ("token in a list", kubeconfig(&format!("token: [{TOKEN}]"))),
        ("token with a colon", kubeconfig(&format!("token: a: {TOKEN}"))),
    ]
    .into_iter()
    .map(|(kind, text)| Secret {
        kind,
        text,
        letters: TOKEN.to_owned(),
    })
    .collect()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What happens to files on their way.
pub(crate) fn mutations(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let half = text.len() / 2;
    let trimmed = text.trim_end();
    let texts = [
        ("as it is", text.to_owned()),
        (
            "with the two characters for a line end",
            text.replace('\n', "\\n"),
        ),
        ("with blanks for line ends", text.replace('\n', " ")),
        ("with carriage returns", text.replace('\n', "\r")),
        ("on one line", text.replace('\n', "")),
        ("in quotes", format!("\"{}\"", trimmed.replace('\n', "\\n"))),
        ("indented", text.replace('\n', "\n    ")),
        ("cut off", text[..half].to_owned()),
        ("without its beginning", text[half..].to_owned()),
        ("twice", format!("{trimmed}{trimmed}")),
        (
            "with a foreign letter",
            format!("{}*{}", &text[..half], &text[half..]),
        ),
        ("with a tab", format!("\t{}\t{}", &text[..half], &text[half..])),
        ("without END", text.replace("-----END", "")),
        ("without BEGIN", text.replace("-----BEGIN", "")),
        ("with four dashes", text.replace("-----", "----")),
        (
            "as JSON",
            format!("{{\"key\": \"{}\"}}", trimmed.replace('\n', "\\n")),
        ),
        (
            "as a value of YAML",
            format!("key: |\n  {}", text.replace('\n', "\n  ")),
        ),
        ("with a mark", format!("\u{feff}{text}")),
        ("under another label", text.replace("PRIVATE KEY", "CERTIFICATE")),
        ("with brackets", format!("[{{{text}")),
    ];
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes);
    let mut all: Vec<(&str, Vec<u8>)> = texts
        .into_iter()
        .map(|(name, text)| (name, text.into_bytes()))
        .collect();
    all.push(("as UTF-16", [0xff, 0xfe].into_iter().chain(utf16).collect()));
    all.push((
        "with a byte of another code page",
        [b"\xe9", text.as_bytes()].concat(),
    ));
    all
}

/// What is needed beside the damaged file: `good.pem`, a CA certificate, with its key, and a
/// kubeconfig of nobody's in its usual place, without which no other file would be read.
pub(crate) fn write_good(folder: &Path) {
    fs::create_dir(folder.join(".kube")).unwrap();
    fs::write(folder.join(".kube/config"), kubeconfig("username: u")).unwrap();
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=ca",
            "-addext",
            "keyUsage=critical,keyCertSign",
            "-keyout",
            "good.key",
            "-out",
            "good.pem",
        ],
    );
    assert!(fs::exists(folder.join("good.key")).unwrap());
}

fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}
