//! From a text that somebody saw to its cause, and the command that helps.
//!
//! Pure: the catalogue is data. What looks at a cluster is `commands::doctor`.

mod api;
mod cluster;
mod names;
mod sdk;
mod tls;

use std::fmt::Write as _;

/// One known problem.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Stable name for programs and links.
    pub id: &'static str,
    /// Texts by which it is recognised: any of these, each a list of fragments that must all be
    /// there, in lower case.
    pub says: &'static [&'static [&'static str]],
    /// Why it happens.
    pub cause: &'static str,
    /// Commands or settings that help, best first.
    pub help: &'static [&'static str],
}

/// The groups in the order in which they are shown, with their titles.
const GROUPS: [(&str, &[Case]); 5] = [
    ("TLS", tls::CASES),
    ("Names and connections", names::CASES),
    ("Answers of the API and the proxy", api::CASES),
    ("SDKs", sdk::CASES),
    ("Pods and the installer", cluster::CASES),
];

/// All known problems.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    GROUPS.into_iter().flat_map(|(_, cases)| cases)
}

impl Case {
    /// How much of the text speaks for this case; `None` when it is not this one.
    fn weight(&self, text: &str) -> Option<usize> {
        self.says
            .iter()
            .filter(|fragments| fragments.iter().all(|fragment| text.contains(fragment)))
            .map(|fragments| fragments.iter().map(|fragment| fragment.len()).sum())
            .max()
    }
}

/// The cases that a text speaks of, the best match first.
pub fn recognise(text: &str) -> Vec<&'static Case> {
    let text = text.to_lowercase();
    let mut found: Vec<(usize, &Case)> = cases()
        .filter_map(|case| Some((case.weight(&text)?, case)))
        .collect();
    found.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    found.into_iter().map(|(_, case)| case).collect()
}

/// The whole catalogue as a page of the documentation.
pub fn to_markdown() -> String {
    let mut page = String::from(
        "# Errors, causes, commands\n\n\
         `silica doctor 'TEXT'` looks a text up here, and `silica doctor` alone looks at the installation.\n\
         This page is printed by `silica doctor --list`.\n",
    );
    for (title, cases) in GROUPS {
        let _ = write!(
            page,
            "\n## {title}\n\n| Text | Cause | What helps |\n|---|---|---|\n"
        );
        for case in cases {
            let texts: Vec<String> = case
                .says
                .iter()
                .map(|fragments| format!("`{}`", fragments.join(" ... ")))
                .collect();
            let _ = writeln!(
                page,
                "| {} | {} | {} |",
                texts.join(", ").replace('|', "\\|"),
                case.cause,
                case.help.join("; ")
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        cli::error,
        cluster::{
            self,
            apply::{Field, Objection, Why},
            lock,
        },
        pipeline::wait,
    };

    fn first(text: &str) -> Option<&'static str> {
        recognise(text).first().map(|case| case.id)
    }

    #[test]
    fn texts_of_real_clients_are_recognised() {
        for (text, id) in [
            (
                "httpx.ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: \
                 unable to get local issuer certificate (_ssl.c:1006)",
                "unknown-ca",
            ),
            (
                "pyqwest: error sending request: invalid peer certificate: UnknownIssuer",
                "unknown-ca",
            ),
            (
                "Error: unable to verify the first certificate; code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'",
                "unknown-ca",
            ),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "unknown-ca",
            ),
            (
                "x509: certificate is valid for ingress.local, not api.sandbox.example.com",
                "default-certificate",
            ),
            ("subject=CN=TRAEFIK DEFAULT CERT", "default-certificate"),
            (
                "Missing Authority Key Identifier (_ssl.c:1028)",
                "no-authority-key",
            ),
            ("[Errno -2] Name or service not known", "name-unknown"),
            ("getaddrinfo ENOTFOUND api.sandbox.example.com", "name-unknown"),
            ("connect ECONNREFUSED 127.0.0.1:443", "refused"),
            (
                "e2b.exceptions.AuthenticationException: 401: Invalid API key",
                "api-key",
            ),
            ("404: template 'nope' not found", "template-unknown"),
            (
                "SandboxException: 503: no sandbox of template 'base' became available within 60 s: the pool is empty",
                "pool-empty",
            ),
            ("502: The sandbox is running but port is not open", "port-closed"),
            (
                "AttributeError: 'ConnectionConfig' object has no attribute '_transport'",
                "sdk-mismatch",
            ),
            ("Back-off pulling image \"x\": ErrImagePull", "image-pull"),
            ("0/3 nodes are available: 3 Insufficient memory.", "unschedulable"),
        ] {
            assert_eq!(first(text), Some(id), "{text}");
        }
    }

    /// Made of the errors themselves, so that a new wording is not forgotten here.
    #[test]
    fn our_own_texts_are_recognised() {
        let refused = |why: Why| {
            error::Error::Refused {
                objections: vec![Objection {
                    object: "Service a/b".into(),
                    why,
                }],
            }
            .to_string()
        };
        let field = Field {
            path: ".spec.replicas".into(),
            manager: "kubectl-edit".into(),
        };
        let held = lock::Error::Held {
            holder: "root@a (silica install)".into(),
            age: 3,
        };
        let forbidden = cluster::Error::Forbidden {
            action: "read",
            object: "Secret a/b".into(),
            why: "secrets \"b\" is forbidden: User \"u\" cannot get resource \"secrets\"".into(),
        };
        let never = wait::Error::Never {
            object: "Deployment a/b".into(),
            why: "pods \"b-1\" is forbidden: violates PodSecurity \"restricted:latest\"".into(),
        };
        for (text, id) in [
            (held.to_string(), "busy"),
            (lock::Error::Lost.to_string(), "busy"),
            (lock::Error::Changed.to_string(), "busy"),
            (refused(Why::Fields(vec![field])), "conflict"),
            (
                refused(Why::Said("services \"b\" is forbidden: exceeded quota: q".into())),
                "quota",
            ),
            (forbidden.to_string(), "rights"),
            (never.to_string(), "pod-security"),
        ] {
            assert_eq!(first(&text), Some(id), "{text}");
        }
    }

    #[test]
    fn unknown_text_is_not_guessed_at() {
        assert!(recognise("the moon is full").is_empty());
        assert!(recognise("").is_empty());
    }

    #[test]
    fn the_more_telling_case_comes_first() {
        let text = "certificate verify failed: certificate has expired";
        assert_eq!(first(text), Some("expired"));
    }

    #[test]
    fn every_case_is_usable() {
        let mut ids = BTreeSet::new();
        for case in cases() {
            assert!(ids.insert(case.id), "{} is there twice", case.id);
            assert!(!case.cause.is_empty() && !case.help.is_empty(), "{}", case.id);
            for fragment in case.says.iter().copied().flatten() {
                assert_eq!(fragment.to_lowercase(), **fragment, "{}", case.id);
                assert!(
                    fragment.len() >= 3,
                    "{}: {fragment:?} is in too many texts",
                    case.id
                );
            }
        }
    }
}
