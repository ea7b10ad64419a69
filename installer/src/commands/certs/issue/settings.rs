//! Flags, and what was kept of an earlier order, become the settings of this
//! one. A flag wins.

use std::net::{IpAddr, SocketAddr};

use silica_acme::{Settings, provider::tsig, settings::Provider};
use zeroize::Zeroizing;

use super::{DnsArg, IssueArgs, WAIT, WAIT_FOR_PERSON, read};
use crate::{cli::error, commands::certs::error::Error as CertsError};

/// Why an order cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to order.
    #[error("no domain is given")]
    NoDomain,
    /// No CA.
    #[error("no CA is given")]
    NoDirectory,
    /// Nobody to create the records.
    #[error("it is not said who creates the TXT records")]
    NoDns,
    /// A provider lacks something.
    #[error("--dns {provider} needs {flags}")]
    Missing {
        /// The provider.
        provider: &'static str,
        /// The flags.
        flags: &'static str,
    },
    /// A flag of another provider.
    #[error("{flag} is not for --dns {provider}")]
    Foreign {
        /// The flag.
        flag: &'static str,
        /// The provider.
        provider: &'static str,
    },
    /// The terms were not accepted.
    #[error("a new account takes that the terms of service of the CA are accepted")]
    Terms,
    /// The key cannot be used.
    #[error("failed to use the TSIG key")]
    Key(#[source] tsig::Error),
    /// Not an e-mail address.
    #[error("{0:?} is no e-mail address")]
    Email(String),
}

impl Error {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::NoDomain => "-d sandbox.example.com, or --cluster for the installed domains",
            Self::NoDirectory => {
                "--acme-directory letsencrypt, after a trial with letsencrypt-staging; or the address of another CA"
            }
            Self::NoDns => "--dns rfc2136, --dns exec or --dns manual: see silica certs issue --help",
            Self::Terms => "read them (Let's Encrypt: letsencrypt.org/repository), then add --agree-tos",
            Self::Key(_) => "tsig-keygen of BIND and keymgr -t of Knot write files that fit",
            Self::Missing { .. } | Self::Foreign { .. } | Self::Email(_) => "silica certs issue --help",
        }
        .to_owned()
    }
}

/// Reads `IP` or `IP:PORT`.
pub(super) fn server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_matches(['[', ']']);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, 53)),
        Err(_) => text
            .parse()
            .map_err(|_| "expected an IP address, with or without port".to_owned()),
    }
}

/// Merges flags over what was kept.
pub(super) fn merge(args: &IssueArgs, kept: Option<Settings>) -> Result<Settings, error::Error> {
    let failed = |error| error::Error::Certs(CertsError::Order(error));
    let directory = args
        .acme_directory
        .clone()
        .or_else(|| kept.as_ref().map(|kept| kept.directory.clone()))
        .ok_or_else(|| failed(Error::NoDirectory))?;
    let roots = match &args.acme_ca {
        Some(path) => Some(read(path)?),
        // Of another CA otherwise.
        None => kept
            .as_ref()
            .filter(|kept| kept.directory == directory)
            .and_then(|kept| kept.roots.clone()),
    };
    if let Some(email) = args.email.as_ref().filter(|email| !is_address(email)) {
        return Err(failed(Error::Email(email.clone())));
    }
    let secret = match &args.tsig_secret_file {
        Some(path) => Some(Zeroizing::new(read(path)?)),
        None => None,
    };
    let former = kept.as_ref().map(|kept| &kept.dns);
    let dns = provider(args, secret.as_ref().map(|text| text.as_str()), former).map_err(failed)?;
    let usual = match dns {
        Provider::Manual => WAIT_FOR_PERSON,
        _ => WAIT,
    };
    let (email, check_servers, wait_seconds) = match kept {
        Some(kept) => (kept.email, kept.check_servers, Some(kept.wait_seconds)),
        None => (None, Vec::new(), None),
    };
    Ok(Settings {
        directory,
        roots,
        email: args.email.clone().or(email),
        dns,
        check_servers: if args.dns_check.is_empty() {
            check_servers
        } else {
            args.dns_check.clone()
        },
        wait_seconds: match (args.wait, args.dns) {
            (Some(wait), _) => wait.as_secs(),
            // Another provider has another pace.
            (None, Some(_)) => usual.as_secs(),
            (None, None) => wait_seconds.unwrap_or(usual.as_secs()),
        },
    })
}

/// Something with an @ in it; the rest is the CA's to judge.
fn is_address(email: &str) -> bool {
    email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !email.contains([' ', ',', '?']))
}

fn provider(args: &IssueArgs, secret: Option<&str>, kept: Option<&Provider>) -> Result<Provider, Error> {
    let name = match (args.dns, kept) {
        (Some(DnsArg::Rfc2136), _) | (None, Some(Provider::Rfc2136 { .. })) => "rfc2136",
        (Some(DnsArg::Exec), _) | (None, Some(Provider::Exec)) => "exec",
        (Some(DnsArg::Manual), _) | (None, Some(Provider::Manual)) => "manual",
        (None, None) => return Err(Error::NoDns),
    };
    let refuse = |is_given: bool, flag| {
        if is_given {
            Err(Error::Foreign { flag, provider: name })
        } else {
            Ok(())
        }
    };
    if name != "exec" {
        refuse(args.dns_exec.is_some(), "--dns-exec")?;
    }
    if name != "rfc2136" {
        refuse(args.dns_server.is_some(), "--dns-server")?;
        refuse(secret.is_some(), "--tsig-secret-file")?;
    }
    match name {
        "exec" if args.dns_exec.is_none() => Err(Error::Missing {
            provider: name,
            flags: "--dns-exec PROGRAM",
        }),
        "exec" => Ok(Provider::Exec),
        "manual" => Ok(Provider::Manual),
        _ => {
            let (server, key) = match kept {
                Some(Provider::Rfc2136 { server, key }) => (Some(server.clone()), Some(key.clone())),
                _ => (None, None),
            };
            let key = match secret {
                Some(text) => Some(
                    tsig::Key::read(text, args.tsig_name.as_deref(), args.tsig_algorithm)
                        .map_err(Error::Key)?,
                ),
                None => key,
            };
            match (args.dns_server.clone().or(server), key) {
                (Some(server), Some(key)) => Ok(Provider::Rfc2136 { server, key }),
                _ => Err(Error::Missing {
                    provider: name,
                    flags: "--dns-server HOST and --tsig-secret-file FILE",
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: IssueArgs,
    }

    const SECRET: &str = "c2VjcmV0IG9mIDMyIGJ5dGVzIGZvciBhIGtleSEhISE=";

    fn args(words: &str) -> IssueArgs {
        Cli::parse_from(["issue"].into_iter().chain(words.split_whitespace())).args
    }

    fn refused(words: &str, kept: Option<Settings>) -> String {
        merge(&args(words), kept).unwrap_err().to_string()
    }

    fn kept() -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, SECRET).unwrap();
        let words = format!(
            "--cluster --acme-directory letsencrypt --email a@b.c --dns rfc2136 --dns-server 192.0.2.1 \
             --tsig-name acme --tsig-secret-file {}",
            file.display()
        );
        merge(&args(&words), None).unwrap()
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refused("--cluster", None), "no CA is given");
        let ca = "--acme-directory letsencrypt-staging";
        assert!(refused(ca, None).contains("who creates the TXT records"));
        assert!(refused(&format!("{ca} --dns exec"), None).contains("--dns-exec PROGRAM"));
        assert!(refused(&format!("{ca} --dns rfc2136"), None).contains("--tsig-secret-file FILE"));
        assert!(
            refused(&format!("{ca} --dns manual --dns-exec x"), None).contains("is not for --dns manual")
        );
        assert!(refused(&format!("{ca} --dns manual --email a"), None).contains("no e-mail address"));
    }

    #[test]
    fn a_later_order_needs_nothing_and_may_change_everything() {
        let former = kept();
        assert_eq!(merge(&args("--cluster"), Some(former.clone())).unwrap(), former);
        let other = merge(&args("--cluster --dns manual --wait 5m"), Some(former.clone())).unwrap();
        assert_eq!((other.dns, other.wait_seconds), (Provider::Manual, 300));
        assert_eq!(other.email, former.email);
    }

    #[test]
    fn roots_belong_to_the_ca_they_were_given_for() {
        let former = Settings {
            roots: Some("x".into()),
            ..kept()
        };
        let same = merge(&args("--cluster"), Some(former.clone())).unwrap();
        assert_eq!(same.roots.as_deref(), Some("x"));
        let other = args("--cluster --acme-directory letsencrypt-staging");
        assert_eq!(merge(&other, Some(former)).unwrap().roots, None);
    }

    #[test]
    fn servers_to_look_at_are_addresses() {
        assert_eq!(server("192.0.2.1").unwrap().to_string(), "192.0.2.1:53");
        assert_eq!(server("[2001:db8::1]:5353").unwrap().port(), 5353);
        assert!(server("ns1.example.com").is_err());
    }
}
