//! Resolution of the paths that clients send.

use std::path::{Component, Path, PathBuf};

/// Turns a path of a request into an absolute one without `.`, `..` and doubled slashes.
///
/// `~` and relative paths start at the user's home; the empty path is the
/// default working directory, or the home.
pub fn resolve(raw: &str, home: &Path, workdir: Option<&Path>) -> PathBuf {
    let path = match raw {
        "" => workdir.unwrap_or(home).to_owned(),
        "~" => home.to_owned(),
        _ => match raw.strip_prefix("~/") {
            Some(rest) => home.join(rest.trim_start_matches('/')),
            None => home.join(raw),
        },
    };
    clean(&path)
}

/// Removes `.` and resolves `..` by the text alone, as Go's `filepath.Clean` does.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(raw: &str) -> String {
        resolve(raw, Path::new("/home/user"), None).display().to_string()
    }

    #[test]
    fn relative_and_tilde_paths_start_at_home() {
        assert_eq!(resolved("a/b"), "/home/user/a/b");
        assert_eq!(resolved("~"), "/home/user");
        assert_eq!(resolved("~/a"), "/home/user/a");
        assert_eq!(resolved("~//etc"), "/home/user/etc");
        assert_eq!(resolved("~other"), "/home/user/~other");
    }

    #[test]
    fn absolute_paths_stay_and_are_cleaned() {
        assert_eq!(resolved("/tmp//x/./y/../z/"), "/tmp/x/z");
        assert_eq!(resolved("/../.."), "/");
    }

    #[test]
    fn empty_path_is_the_working_directory_or_home() {
        assert_eq!(resolved(""), "/home/user");
        assert_eq!(
            resolve("", Path::new("/h"), Some(Path::new("/w"))),
            Path::new("/w")
        );
    }
}
