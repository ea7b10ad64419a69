//! How to trust a CA by hand, system by system. Pure but for the look at which
//! system this is.

use std::{fs, path::Path};

use clap::ValueEnum;
use silica_certs::inspect::Inspected;

use super::store;

/// A place where CAs are trusted, each with its own way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum System {
    /// Debian, Ubuntu and relatives.
    Debian,
    /// Fedora, RHEL and relatives.
    Fedora,
    /// Arch and relatives.
    Arch,
    /// openSUSE and SLES.
    Suse,
    /// Alpine.
    Alpine,
    Macos,
    Windows,
    /// Firefox, and other programs with NSS, on any system.
    Firefox,
}

/// Commands, one a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guide {
    system: System,
    /// What makes the system trust the CA.
    pub trust: Vec<String>,
    /// What undoes it.
    pub undo: Vec<String>,
}

impl System {
    /// The system that this program runs on, read below the root.
    pub fn of_this_machine(root: &Path) -> Self {
        if cfg!(target_os = "macos") {
            return Self::Macos;
        }
        if cfg!(windows) {
            return Self::Windows;
        }
        let text = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
        Self::of_release(&text)
    }

    /// The system that `os-release` tells of, in `ID` or `ID_LIKE`.
    fn of_release(text: &str) -> Self {
        let words = text.lines().filter_map(|line| {
            let value = line
                .strip_prefix("ID=")
                .or_else(|| line.strip_prefix("ID_LIKE="))?;
            Some(value.trim_matches(['"', '\'']).split(' '))
        });
        let known = words.flatten().find_map(|word| match word {
            "debian" | "ubuntu" => Some(Self::Debian),
            "fedora" | "rhel" | "centos" | "amzn" => Some(Self::Fedora),
            "arch" => Some(Self::Arch),
            "suse" | "opensuse" | "sles" => Some(Self::Suse),
            "alpine" => Some(Self::Alpine),
            _ => None,
        });
        known.unwrap_or(Self::Debian)
    }

    /// How people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Debian => "Debian, Ubuntu and relatives",
            Self::Fedora => "Fedora, RHEL and relatives",
            Self::Arch => "Arch Linux",
            Self::Suse => "openSUSE and SLES",
            Self::Alpine => "Alpine Linux",
            Self::Macos => "macOS",
            Self::Windows => "Windows (PowerShell as administrator)",
            Self::Firefox => "Firefox and other programs with NSS",
        }
    }
}

/// The commands for these CAs in this file; `is_new` when the file is still to
/// be written. Most stores read one certificate a file only, so several CAs, as
/// during a rotation, get a file each.
pub fn render(system: System, members: &[(Inspected, String)], file: &Path, is_new: bool) -> Guide {
    let whole = quoted(&file.display().to_string());
    let mut guide = Guide {
        system,
        trust: Vec::new(),
        undo: Vec::new(),
    };
    if system == System::Debian {
        // With the file: behind sudo the kubeconfig may be another one.
        if is_new {
            guide.trust.push(format!("silica certs export > {whole}"));
        }
        guide
            .trust
            .push(format!("sudo silica certs trust --ca {whole} --install"));
        guide
            .undo
            .push(format!("sudo silica certs trust --ca {whole} --uninstall"));
        return guide;
    }
    let files = if members.len() == 1 {
        if is_new {
            guide.trust.push(format!("silica certs export > {whole}"));
        }
        vec![whole]
    } else {
        let source = if is_new {
            String::new()
        } else {
            format!("--ca {whole} ")
        };
        guide.trust.push(format!("silica certs trust {source}--split ."));
        members.iter().map(|(one, _)| store::file_name(one)).collect()
    };
    if system == System::Alpine {
        guide.trust.push("apk add ca-certificates".to_owned());
    }
    for ((one, _), file) in members.iter().zip(&files) {
        let (trust, undo) = commands(system, one, file);
        guide.trust.push(trust);
        guide.undo.push(undo);
    }
    let update = match system {
        System::Alpine => "update-ca-certificates",
        System::Fedora => "sudo update-ca-trust",
        System::Suse => "sudo update-ca-certificates",
        System::Debian | System::Arch | System::Macos | System::Windows | System::Firefox => return guide,
    };
    guide.trust.push(update.to_owned());
    guide.undo.push(update.to_owned());
    guide
}

/// What puts the CA of a file into the store, and what takes it out again.
fn commands(system: System, one: &Inspected, file: &str) -> (String, String) {
    let name = store::file_name(one);
    let copied = |sudo: &str, folder: &str| {
        (
            format!("{sudo}cp {file} {folder}/{name}"),
            format!("{sudo}rm {folder}/{name}"),
        )
    };
    match system {
        System::Debian | System::Alpine => copied("", "/usr/local/share/ca-certificates"),
        System::Fedora => copied("sudo ", "/etc/pki/ca-trust/source/anchors"),
        System::Suse => copied("sudo ", "/etc/pki/trust/anchors"),
        System::Arch => (
            format!("sudo trust anchor --store {file}"),
            format!("sudo trust anchor --remove {file}"),
        ),
        System::Macos => (
            format!(
                "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {file}"
            ),
            format!("sudo security remove-trusted-cert -d {file}"),
        ),
        System::Windows => (
            format!("Import-Certificate -FilePath {file} -CertStoreLocation Cert:\\LocalMachine\\Root"),
            format!(
                "Get-ChildItem Cert:\\LocalMachine\\Root | Where-Object Subject -like '*{}*' | Remove-Item",
                common_name(one)
            ),
        ),
        System::Firefox => {
            let database = "-d sql:\"$(dirname ~/.mozilla/firefox/*/cert9.db | head -n 1)\"";
            let name = common_name(one);
            (
                format!("certutil {database} -A -t C,, -n '{name}' -i {file}"),
                format!("certutil {database} -D -n '{name}'"),
            )
        }
    }
}

impl Guide {
    /// The commands as text for people.
    pub fn text(&self) -> String {
        let block = |lines: &[String]| format!("  {}\n", lines.join("\n  "));
        let note = match self.system {
            System::Firefox => {
                "certutil is in the package libnss3-tools (nss-tools on Fedora). Firefox on Windows and macOS takes the\n\
                 system's CAs when security.enterprise_roots.enabled is true.\n"
            }
            System::Windows => "",
            _ => {
                "Programs that use the system's store follow: curl, Go, Python's ssl, and the current E2B SDK for Python.\n\
                 Node and programs with a list of their own do not: see `silica env --ca-file`; Firefox: --system firefox.\n"
            }
        };
        format!(
            "{}:\n{}To undo it:\n{}{note}",
            self.system.title(),
            block(&self.trust),
            block(&self.undo)
        )
    }
}

/// The last part of the subject: what trust stores list.
fn common_name(one: &Inspected) -> &str {
    one.subject.rsplit("CN=").next().unwrap_or_default()
}

/// A word for shells; plain words stay as they are.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use silica_certs::authority::{Authority, AuthorityRequest};
    use time::OffsetDateTime;

    use super::*;

    fn members() -> Vec<(Inspected, String)> {
        let request = AuthorityRequest::new(vec!["a.example.com".into()], Vec::new());
        let authority = Authority::create(&request, OffsetDateTime::UNIX_EPOCH).unwrap();
        vec![(
            authority.inspected().clone(),
            authority.certificate_pem().to_owned(),
        )]
    }

    #[test]
    fn relatives_are_known_by_their_parents() {
        for (text, system) in [
            ("ID=debian\n", System::Debian),
            (
                "NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                System::Debian,
            ),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", System::Fedora),
            ("ID=manjaro\nID_LIKE=arch\n", System::Arch),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", System::Suse),
            ("ID=alpine\n", System::Alpine),
        ] {
            assert_eq!(System::of_release(text), system, "{text}");
        }
    }

    #[test]
    fn every_system_has_a_way_in_and_a_way_back() {
        for system in System::value_variants() {
            for is_new in [true, false] {
                let guide = render(*system, &members(), Path::new("my ca.crt"), is_new);
                assert!(!guide.trust.is_empty() && !guide.undo.is_empty(), "{system:?}");
                let names_file = guide.trust.iter().any(|line| line.contains("'my ca.crt'"));
                assert!(names_file, "{guide:?}");
            }
        }
    }

    #[test]
    fn several_cas_have_a_file_and_a_way_back_each() {
        let both = [members(), members()].concat();
        let names: Vec<String> = both.iter().map(|(one, _)| store::file_name(one)).collect();
        assert_ne!(names[0], names[1]);
        for system in System::value_variants() {
            if *system == System::Debian {
                // The command takes the file apart by itself.
                continue;
            }
            let given = render(*system, &both, Path::new("my ca.crt"), false);
            assert_eq!(given.trust[0], "silica certs trust --ca 'my ca.crt' --split .");
            let new = render(*system, &both, Path::new("ca.crt"), true);
            assert_eq!(new.trust[0], "silica certs trust --split .");
            for name in &names {
                let uses = new.trust.iter().filter(|line| line.contains(name.as_str()));
                assert_eq!(uses.count(), 1, "{new:?}");
            }
            let ways_back = new.undo.iter().filter(|line| !line.contains("update-ca-"));
            assert_eq!(ways_back.count(), 2, "{new:?}");
            assert!(!new.trust.iter().any(|line| line.ends_with("ca.crt")), "{new:?}");
        }
    }

    #[test]
    fn windows_and_firefox_know_the_ca_by_its_name() {
        let guide = render(System::Windows, &members(), Path::new("ca.crt"), false);
        assert!(guide.undo[0].contains("*Silica CA 1970-01-01 "), "{guide:?}");
    }
}
