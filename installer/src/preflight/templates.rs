//! Judges whether the default templates have a place to go to.

use crate::{
    cli::check::Check,
    facts::{
        Known,
        templates::{NamespaceState, TemplateNamespace},
    },
};

/// Templates are the last to be written: without this check the run would fail when
/// everything else stands. Their namespace is users' own, so it is not made.
pub(crate) fn template_namespace(fact: &TemplateNamespace) -> Check {
    let id = "template-namespace";
    let name = &fact.name;
    let title = format!("namespace {name} takes the templates");
    match &fact.state {
        Known::Read(NamespaceState::Active) => Check::pass(id, title),
        Known::Read(NamespaceState::Absent) => Check::fail(id, title, "it does not exist").hint(format!(
            "kubectl create namespace {name}; or choose another: --template-namespace NAME"
        )),
        Known::Read(NamespaceState::Terminating) => {
            Check::fail(id, title, "it is being removed").hint(format!(
                "wait until it is gone, then kubectl create namespace {name}; or choose another: \
             --template-namespace NAME"
            ))
        }
        Known::Forbidden(why) => Check::skip(id, title, format!("it may not be read: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Verdict;

    #[test]
    fn templates_need_a_namespace_that_stays() {
        let check = |state| {
            template_namespace(&TemplateNamespace {
                name: "team".into(),
                state,
            })
        };
        assert_eq!(check(Known::Read(NamespaceState::Active)).verdict, Verdict::Pass);
        let absent = check(Known::Read(NamespaceState::Absent));
        assert_eq!(absent.verdict, Verdict::Fail);
        assert!(absent.hint.unwrap().starts_with("kubectl create namespace team"));
        assert_eq!(
            check(Known::Read(NamespaceState::Terminating)).verdict,
            Verdict::Fail
        );
        assert_eq!(check(Known::Forbidden("no".into())).verdict, Verdict::Skip);
    }
}
