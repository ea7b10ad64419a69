//! The default templates.

use schemars::JsonSchema;
use serde::Deserialize;

/// `templates`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Templates {
    /// Create the default templates
    #[schemars(extend("x-flag" = "templates", "x-heading" = "Templates"))]
    pub enabled: bool,
    /// Warm sandboxes per template
    #[schemars(range(min = 0, max = 10_000), extend("x-flag" = "template-replicas", "x-heading" = "Templates"))]
    pub replicas: u32,
    /// Namespace of the templates
    #[schemars(extend("x-flag" = "template-namespace", "x-value" = "NAME", "x-heading" = "Templates"))]
    pub namespace: String,
    /// Images of the templates
    pub images: TemplateImages,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            enabled: false,
            replicas: 2,
            namespace: "default".into(),
            images: TemplateImages::default(),
        }
    }
}

/// `templates.images`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TemplateImages {
    /// Image of template `base`; required for templates
    #[schemars(extend("x-flag" = "template-image-base", "x-value" = "IMAGE", "x-heading" = "Templates"))]
    pub base: Option<String>,
    /// Image of template `code-interpreter`, which is left out without one
    #[schemars(extend("x-flag" = "template-image-code-interpreter", "x-value" = "IMAGE", "x-heading" = "Templates"))]
    pub code_interpreter: Option<String>,
}
