//! Puts the pools and volumes that the SDK suites need into the cluster.

use std::fs;

use anyhow::{Context, Result, bail};
use silica_cluster::Cluster;

use crate::images::{self, Name};
use crate::test::bare::{kubectl, kubectl_apply};
use crate::{command, workspace};

/// Applies what is in `tests/sdk/fixtures`, with images and folders filled in.
pub(crate) fn apply(cluster: &Cluster) -> Result<()> {
    let values = [
        ("BASE_IMAGE", images::reference(Name::Base)?),
        (
            "CODE_INTERPRETER_IMAGE",
            images::reference(Name::CodeInterpreter)?,
        ),
        ("MINIMAL_IMAGE", images::reference(Name::Minimal)?),
        ("RUNTIME_IMAGE", runtime_image(cluster)?),
        // Below the cluster's own state, so that it is gone with it.
        (
            "VOLUME_DIR",
            cluster.layout().state.join("volumes").display().to_string(),
        ),
    ];
    for name in ["templates.yaml", "volumes.yaml"] {
        let path = workspace::root().join("tests/sdk/fixtures").join(name);
        let template =
            fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let text = fill(&template, &values)?;
        kubectl_apply(cluster, &text).with_context(|| format!("failed to apply {}", path.display()))?;
    }
    Ok(())
}

/// The image that the installed controller gives to sandboxes.
fn runtime_image(cluster: &Cluster) -> Result<String> {
    let text = command::read(kubectl(cluster)?.args([
        "get",
        "deployment",
        "sandbox-controller",
        "--namespace=sandbox-system",
        "--output=jsonpath={.spec.template.spec.containers[0].args}",
    ]))?;
    let arguments: Vec<String> =
        serde_json::from_str(&text).context("failed to read the controller's arguments")?;
    find_flag(&arguments, "--runtime-image").context("failed to find the runtime image of the controller")
}

fn find_flag(arguments: &[String], flag: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument.starts_with(flag))?;
    match arguments[at].strip_prefix(flag)?.strip_prefix('=') {
        Some(value) => Some(value.to_owned()),
        None => arguments.get(at + 1).cloned(),
    }
}

/// Replaces each `${NAME}`.
pub(crate) fn fill(template: &str, values: &[(&str, String)]) -> Result<String> {
    let filled = values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
    });
    // A comment may speak of variables in general.
    let left = filled
        .lines()
        .find(|line| line.contains("${") && !line.trim_start().starts_with('#'));
    match left {
        Some(line) => bail!("failed to fill in {}", line.trim()),
        None => Ok(filled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_variable_is_an_error() {
        let values = [("A", "1".to_owned())];
        assert_eq!(fill("# ${B}\nx: ${A}\n", &values).unwrap(), "# ${B}\nx: 1\n");
        assert!(fill("x: ${B}\n", &values).is_err());
    }

    #[test]
    fn flag_is_found_in_both_spellings() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(find_flag(&words(&["--a=1", "--b=2"]), "--b").unwrap(), "2");
        assert_eq!(find_flag(&words(&["--b", "3"]), "--b").unwrap(), "3");
        assert_eq!(find_flag(&words(&["--a"]), "--b"), None);
    }
}
