//! The choice of a way, and the architectures it serves, as checks.

use super::{ARCHITECTURE_LABEL, Choice, Refusal, Situation, by_hand, importer, list, names};
use crate::{
    cli::check::Check,
    delivery::{Target, bundle::Architecture, nodes::NodeFact},
};

/// Name of the check.
const ID: &str = "image-delivery";

/// The choice as a check.
pub fn judge(situation: &Situation<'_>, choice: &Choice) -> Check {
    let elsewhere = situation.elsewhere();
    match choice {
        Ok((Target::Containerd { .. }, why)) if !elsewhere.is_empty() => {
            let importer = importer(elsewhere[0]);
            Check::warn(
                ID,
                format!("executables reach the nodes: {why}"),
                format!("that is not the containerd of {}", names(&elsewhere)),
            )
            .hint(format!("for these nodes: {}", by_hand(importer)))
        }
        Ok((_, why)) => Check::pass(ID, format!("executables reach the nodes: {why}")),
        Err(Refusal { why, hint }) => {
            Check::fail(ID, "executables reach the nodes", why.clone()).hint(hint.clone())
        }
    }
}

/// Whether executables are there for all nodes that pods start on. Every way but a
/// registry brings those of one architecture only.
pub fn judge_architectures(situation: &Situation<'_>, choice: Option<&(Target, String)>) -> Check {
    let id = "node-architecture";
    let eligible = situation.eligible();
    let one;
    let brought = match choice {
        Some((
            Target::Containerd { architecture, .. }
            | Target::Tool { architecture, .. }
            | Target::Carried { architecture, .. },
            _,
        )) => {
            one = [*architecture];
            &one[..]
        }
        _ => situation.bundled,
    };
    let is_served = |node: &&NodeFact| {
        Architecture::from_name(&node.architecture).is_some_and(|one| brought.contains(&one))
    };
    let (served, others): (Vec<&NodeFact>, Vec<&NodeFact>) = eligible.into_iter().partition(is_served);
    let title = format!("executables for {} fit the nodes", list(brought));
    let others: Vec<String> = others
        .iter()
        .map(|node| format!("{} ({})", node.name, node.architecture))
        .collect();
    if others.is_empty() {
        return Check::pass(id, title);
    }
    let hint = format!(
        "keep pods off them: --node-selector {ARCHITECTURE_LABEL}={}, and the same nodeSelector in your templates",
        list(brought)
    );
    let detail = format!("there is none for {}", others.join(", "));
    if served.is_empty() {
        Check::fail(id, title, detail)
            .hint("name images of that architecture: --manager-image IMAGE --runtime-image IMAGE")
    } else {
        Check::warn(id, title, detail).hint(hint)
    }
}
