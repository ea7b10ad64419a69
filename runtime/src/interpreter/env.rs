//! Code that changes the environment of a running kernel.

use std::collections::BTreeMap;

use super::language::Language;

/// Variables to set (`Some`) or to remove (`None`).
pub(super) type Changes = BTreeMap<String, Option<String>>;

/// What turns the environment `old` into `new`.
pub(super) fn plan_changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Changes {
    let removed = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| (name.clone(), None));
    let set = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    removed
        .chain(set.map(|(name, value)| (name.clone(), Some(value.clone()))))
        .collect()
}

/// What takes back `overrides` in a kernel that otherwise has `base`.
pub(super) fn plan_reset(overrides: &BTreeMap<String, String>, base: &BTreeMap<String, String>) -> Changes {
    overrides
        .keys()
        .map(|name| (name.clone(), base.get(name).cloned()))
        .collect()
}

/// Code for changes, without effect on the names of the user; `None` when the language knows no way.
pub(super) fn render_changes(language: Language, changes: &Changes) -> Option<String> {
    match language {
        Language::Python => {
            let changes = json(&json(changes));
            Some(format!(
                "(lambda changes, env: [env.pop(k, None) if v is None else env.__setitem__(k, v) \
                 for k, v in changes.items()])(__import__('json').loads({changes}), __import__('os').environ)"
            ))
        }
        Language::Javascript | Language::Typescript => {
            let changes = json(changes);
            Some(format!(
                "for (const [k, v] of Object.entries({changes})) \
                 {{ if (v === null) delete process.env[k]; else process.env[k] = v; }}"
            ))
        }
        Language::Bash => Some(lines(changes, |name, value| match value {
            Some(value) => format!("export {name}='{}'", value.replace('\'', "'\\''")),
            None => format!("unset {name}"),
        })),
        Language::R => Some(lines(changes, |name, value| match value {
            Some(value) => format!("Sys.setenv({}={})", json(&name), json(&value)),
            None => format!("Sys.unsetenv({})", json(&name)),
        })),
        Language::Java => None,
    }
}

fn lines(changes: &Changes, render: impl Fn(&str, Option<&str>) -> String) -> String {
    let lines: Vec<_> = changes
        .iter()
        .map(|(name, value)| render(name, value.as_deref()))
        .collect();
    lines.join("\n")
}

fn json(value: &impl serde::Serialize) -> String {
    // Strings and maps of strings always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn only_differences_are_changed() {
        let changes = plan_changes(&env(&[("A", "1"), ("B", "1")]), &env(&[("A", "1"), ("C", "2")]));
        assert_eq!(
            changes,
            BTreeMap::from([("B".into(), None), ("C".into(), Some("2".into()))])
        );
    }

    #[test]
    fn reset_restores_what_the_kernel_had() {
        let changes = plan_reset(&env(&[("A", "x"), ("B", "x")]), &env(&[("A", "1")]));
        assert_eq!(
            changes,
            BTreeMap::from([("A".into(), Some("1".into())), ("B".into(), None)])
        );
    }

    #[test]
    fn quotes_in_values_are_harmless() {
        let changes = BTreeMap::from([("A".to_owned(), Some("it's \"x\"\n".to_owned()))]);
        let python = render_changes(Language::Python, &changes).unwrap();
        assert!(
            python.contains(r#"loads("{\"A\":\"it's \\\"x\\\"\\n\"}")"#),
            "{python}"
        );
        assert_eq!(
            render_changes(Language::Bash, &changes).unwrap(),
            "export A='it'\\''s \"x\"\n'"
        );
    }
}
