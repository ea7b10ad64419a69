//! Taints that our own pods tolerate, as `kubectl taint` writes them.

use k8s_openapi::api::core::v1::Toleration;

use super::{Error, resolve::Resolved};

/// All of the setting.
pub(super) fn tolerations(texts: &[String], resolved: &Resolved) -> Result<Vec<Toleration>, Error> {
    texts
        .iter()
        .map(|text| toleration(text).ok_or_else(|| bad_toleration(text, resolved)))
        .collect()
}

/// Reads `KEY=VALUE:EFFECT`, `KEY:EFFECT`, `KEY` or `*`, as `kubectl taint` writes it.
fn toleration(text: &str) -> Option<Toleration> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let (taint, effect) = match text.rsplit_once(':') {
        Some((taint, effect)) if EFFECTS.contains(&effect) => (taint, Some(effect.to_owned())),
        Some(_) => return None,
        None => (text, None),
    };
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (taint, None),
    };
    let is_key = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    let key = match key {
        "*" if value.is_none() => None,
        key if !key.is_empty() && key.chars().all(is_key) => Some(key.to_owned()),
        _ => return None,
    };
    Some(Toleration {
        key,
        operator: Some(if value.is_some() { "Equal" } else { "Exists" }.into()),
        value,
        effect,
        ..Toleration::default()
    })
}

fn bad_toleration(text: &str, resolved: &Resolved) -> Error {
    Error::Value {
        origin: resolved.origin("tolerations").clone(),
        key: "tolerations".into(),
        expected: "taints such as dedicated=sandbox:NoSchedule, gpu:NoExecute, gpu or *".into(),
        found: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_are_written_as_for_kubectl() {
        let read = |text| toleration(text).map(|one| (one.key, one.operator, one.value, one.effect));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("dedicated=sandbox:NoSchedule"),
            Some((
                some("dedicated"),
                some("Equal"),
                some("sandbox"),
                some("NoSchedule")
            ))
        );
        assert_eq!(
            read("gpu:NoExecute"),
            Some((some("gpu"), some("Exists"), None, some("NoExecute")))
        );
        assert_eq!(read("*"), Some((None, some("Exists"), None, None)));
        for bad in ["", "=a", "a b", "a:b", ":NoSchedule"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
